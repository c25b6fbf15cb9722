"""Finished runs in a folder."""

from pathlib import Path

import attrs
import pytest
import torch

from lipar.config import Config, build_config
from lipar_lab.compare.finished_runs import FinishedRun, RunFolder


class ByName:
    """Digests that depend on name and seed."""

    def digest(self, clip: Path, variant: str, config: Config) -> str:
        return f"{clip.stem}{variant}{config.seed}"


CLIP = Path("a.mp4")


@pytest.fixture
def run() -> FinishedRun:
    return FinishedRun(
        latents=torch.rand(1, 5, 4, 6, 8),
        keep_mask=torch.rand(5, 3, 4) < 0.5,
        blocks=(3, 2),
        stage_seconds={"DiT": 1.25},
    )


def test_a_run_comes_back_bit_for_bit(run: FinishedRun, tmp_path: Path) -> None:
    folder, config = RunFolder(tmp_path, ByName()), build_config()
    assert folder.find(CLIP, "mine", config) is None
    folder.add(CLIP, "mine", config, run)
    found = folder.find(CLIP, "mine", config)
    assert found is not None
    assert torch.equal(found.latents, run.latents) and torch.equal(found.keep_mask, run.keep_mask)
    assert (found.blocks, found.stage_seconds) == (run.blocks, run.stage_seconds)
    assert [piece.shape[1] for piece in found.pieces()] == [3, 2]
    assert folder.find(CLIP, "mine", attrs.evolve(config, seed=1)) is None
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"], "nothing unfinished stays"


@pytest.mark.parametrize("damage", [b"", b"no tensors at all", None])
def test_a_damaged_file_counts_as_none(run: FinishedRun, tmp_path: Path, damage: bytes | None) -> None:
    folder, config = RunFolder(tmp_path, ByName()), build_config()
    folder.add(CLIP, "mine", config, run)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-9] if damage is None else damage)
    assert folder.find(CLIP, "mine", config) is None
    folder.add(CLIP, "mine", config, run)
    assert folder.find(CLIP, "mine", config) is not None
