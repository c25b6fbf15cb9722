"""The file of recorded masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from watched_edit import Remember, Stop, edit

from lipar.config import build_config
from lipar.job import RestoredBlock
from lipar.layout import TokenLayout
from lipar.watch.masks import MaskRecorder


def test_recorded_masks_are_those_of_the_edit(tmp_path: Path) -> None:
    remember = Remember()
    edit(tmp_path, MaskRecorder(tmp_path / "m.npy"), remember)
    recorded = np.load(tmp_path / "m.npy")
    assert recorded.dtype == bool
    assert torch.equal(
        torch.from_numpy(recorded), torch.cat([block.layout.keep_mask for block, _ in remember.blocks])
    )


def test_masks_of_an_interrupted_edit_hold_the_blocks_that_were_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        edit(tmp_path, MaskRecorder(tmp_path / "m.npy"), Stop(KeyboardInterrupt()))
    assert np.load(tmp_path / "m.npy").shape[0] == 3


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_the_mask_file_is_whole_after_every_block(
    tmp_path_factory: pytest.TempPathFactory, blocks: int, frames: int, rows: int, cols: int
) -> None:
    path = tmp_path_factory.mktemp("masks") / "m.npy"
    path.write_bytes(b"an older file, longer than the header of the new one" * 9)
    recorder = MaskRecorder(path)
    pushed = []
    for index in range(blocks):
        keep = torch.rand(frames, rows, cols) < 0.5
        keep[0] |= index == 0
        pushed.append(keep)
        layout = TokenLayout(keep, first_frame=index * frames, has_history=index > 0)
        latents = torch.zeros(1, frames, 1, rows, cols)
        recorder.lipar_block_written(
            RestoredBlock(
                latents=latents, layout=layout, first_frame=index * frames, seconds=0.0, dense_seconds=None
            )
        )
        if index in (0, blocks - 1):
            assert torch.equal(torch.from_numpy(np.load(path)), torch.cat(pushed))


def test_an_edit_can_be_run_again_with_its_recorded_masks(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "watching.md").read_text("utf-8")
    namespace: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], namespace)
    remember = Remember()
    report = edit(tmp_path, MaskRecorder(tmp_path / "m.npy"))
    # thresholds that would keep nothing by themselves
    far = build_config(settings=["prune.tau_short=99", "prune.tau_long=99"])
    again = edit(tmp_path, namespace["Replay"](tmp_path / "m.npy"), remember, config=far)
    assert again.kept_fraction == report.kept_fraction < 1
    assert np.array_equal(
        np.load(tmp_path / "m.npy"), np.concatenate([block.layout.keep_mask for block, _ in remember.blocks])
    )
