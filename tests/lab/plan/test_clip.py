"""A clip that is planned keeps what the edit of it keeps."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan_toys import SIZE, UnloadedToy, toy_clip, toy_host, toy_model

from lipar.config import build_config
from lipar.editing.run import edit_video
from lipar.events import EditOptions
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_lab.plan.clip import ClipPlan, ClipReader
from lipar_lab.plan.target import with_keep

HOST = toy_host()
PARTS = [
    {},
    {"criterion": "pixel", "prune": {"tau_short": 0.05, "tau_long": 0.1}},
    {"refiners": [{"name": "median", "look_ahead": True}, "threshold", {"name": "bucket", "multiple": 8}]},
    {"recovery": "none", "criterion": "l2", "prune": {"first_frames": 1}},
    {"cache": {"window_frames": 0}, "noise": "kv-cache"},
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 40)


def plan(path: Path, config, host=HOST) -> ClipPlan:
    with ExitStack() as stack:
        reader = ClipReader(path, UnloadedToy(autoencoder=ToyAutoencoder()), SIZE, stack)
        return reader.plan(config, host=host, quiet=True)


class Kept:
    """Notes the layouts of an edit."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    @hookimpl
    def lipar_block_written(self, block) -> None:
        self.counts.append(block.layout.kept_count)


def edit(path: Path, config, folder: Path, host=HOST):
    kept = Kept()
    options = EditOptions(prompt="a dog", output=folder / "out.mp4", source=path, resolution=SIZE)
    with host.extended(kept):
        return kept.counts, edit_video(toy_model(), config, options, host=host)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.sampled_from(PARTS), keep=st.none() | st.floats(0.1, 0.9))
def test_every_block_and_the_whole_keep_what_the_edit_keeps(clip, tmp_path, table, keep) -> None:
    config = build_config(settings=[table])
    config = config if keep is None else with_keep(config, keep)
    planned = plan(clip, config)
    counts, report = edit(clip, config, tmp_path)
    assert [block.kept for block in planned.blocks] == counts
    assert planned.kept_fraction == report.kept_fraction
    assert planned.kept_after_first == report.steady_kept_fraction
    assert planned.pixel_frames == report.frames == 40


def test_a_plugin_that_decides_masks_is_asked(clip, tmp_path) -> None:
    class Column:
        @hookimpl
        def lipar_prune(self, job, source, first_frame):
            mask = torch.zeros(source.shape[1], source.shape[3] // 2, source.shape[4] // 2, dtype=torch.bool)
            mask[..., : 1 + first_frame] = True
            if job.history is None:
                mask[:] = True
            return TokenLayout(mask, first_frame=first_frame, has_history=job.history is not None)

    host = load_plugins(Column())
    planned = plan(clip, build_config(), host)
    counts, _ = edit(clip, build_config(), tmp_path, host)
    assert [block.kept for block in planned.blocks] == counts == [144, 72, 126, 144]


def test_the_last_block_is_filled_up_with_copies(clip) -> None:
    planned = plan(clip, build_config())
    assert [block.pixel_frames for block in planned.blocks] == [(0, 12), (12, 24), (24, 36), (36, 40)]
    assert planned.filled_frames == 8
    assert planned.blocks[-1].shown_tokens == 48 and planned.blocks[-1].tokens == 144


def test_a_clip_shorter_than_a_block_is_one_block(tmp_path) -> None:
    planned = plan(toy_clip(tmp_path / "short.mp4", 5), build_config())
    assert (len(planned.blocks), planned.pixel_frames, planned.filled_frames) == (1, 5, 7)
    assert planned.kept_fraction == 1 and planned.kept_after_first is None


def test_a_reader_that_keeps_the_clip_plans_it_again_with_other_settings(clip) -> None:
    with ExitStack() as stack:
        reader = ClipReader(clip, toy_model(), SIZE, stack, keeps=True)
        first = reader.plan(build_config(), host=HOST, quiet=True)
        for keep in (0.2, 0.6):
            config = with_keep(build_config(), keep)
            again = reader.plan_again(config, host=HOST)
            assert [block.kept for block in again.blocks] == [
                block.kept for block in plan(clip, config).blocks
            ]
        same = reader.plan_again(build_config(), host=HOST)
        assert [block.kept for block in same.blocks] == [block.kept for block in first.blocks]
        assert same.pixel_frames == first.pixel_frames


def test_a_criterion_that_reads_pixels_can_be_planned_again(clip) -> None:
    config = build_config(settings=[{"criterion": "pixel"}])
    with ExitStack() as stack:
        reader = ClipReader(clip, toy_model(), SIZE, stack, keeps=True)
        first = reader.plan(config, host=HOST, quiet=True)
        again = reader.plan_again(config, host=HOST)
    assert [block.kept for block in again.blocks] == [block.kept for block in first.blocks]


def test_a_model_without_an_autoencoder_is_refused(clip) -> None:
    with ExitStack() as stack, pytest.raises(ValueError, match="has no autoencoder"):
        ClipReader(clip, ToyModel(), SIZE, stack)


def test_a_resolution_that_does_not_fit_is_refused(clip) -> None:
    with ExitStack() as stack, pytest.raises(ValueError, match="does not divide into tokens"):
        ClipReader(clip, toy_model(), (65, 48), stack)
