"""A clip that is computed in pieces is the clip that is computed at once, frame for frame."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import torch
from batch_toys import toy_model
from scene_clips import LOSSLESS, SCENES, clip_of_scenes, frames_of

from lipar.config import Config, build_config
from lipar.editing.model import load_model
from lipar.editing.run import edit_video
from lipar.editing.scenes import edit_piece, source_pieces, why_whole
from lipar.events import EditOptions, EditReport
from lipar.job import RestoredBlock
from lipar.plugin.host import load_plugins
from lipar.protocols import Model


def in_pieces(model: Model, config: Config, options: EditOptions) -> tuple[int, EditReport]:
    """Edit a clip in pieces, the last one first, each with a scheduler of its own."""
    host = load_plugins()
    pieces = list(source_pieces(model, options))
    edited = [edit_piece(model, config, options, piece, host=host) for piece in reversed(pieces)]

    def blocks() -> Iterator[RestoredBlock]:
        for piece in reversed(edited):
            yield from piece.blocks

    return len(pieces), edit_video(model, config, options, host=host, blocks=blocks)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("dense",),
        ("seed=5", "strength=0.7", "cache.positions=absolute"),
        ("prune.quantile=0.6", "recovery=none"),
        ("noise=kv-cache", "cache.window_frames=9"),
        ("merging=tome", "prune.long_reference=thresholded"),
        ("reuse=mask-cache",),
        ("strength=0",),
        ("criterion=random",),
    ],
    ids=lambda settings: " ".join(settings) or "default",
)
def test_pieces_give_the_same_frames_as_the_whole(tmp_path: Path, settings: tuple[str, ...]) -> None:
    dense = settings == ("dense",)
    settings = () if dense else settings
    config = build_config(settings=settings)
    clip = clip_of_scenes(tmp_path / "in.mkv")
    options = EditOptions(
        prompt="night",
        source=clip,
        output=tmp_path / "whole.mkv",
        encoding=LOSSLESS,
        dense=dense,
        resolution=(48, 48),
    )
    whole = edit_video(toy_model(), config, options, host=load_plugins())
    assert len(whole.scene_cuts) == len(SCENES) - 1
    joined = attrs.evolve(options, output=tmp_path / "joined.mkv")
    count, report = in_pieces(toy_model(), config, joined)
    assert count == len(SCENES)
    assert torch.equal(frames_of(joined.output), frames_of(options.output))
    assert report.kept_fraction == whole.kept_fraction and report.scene_cuts == whole.scene_cuts
    assert report.frames == sum(SCENES)


def test_so_does_an_autoencoder_that_carries_its_state_over_a_cut(tmp_path: Path) -> None:
    model = load_model("tiny", device="cpu")
    clip = clip_of_scenes(tmp_path / "in.mkv", (17, 22), side=64)
    options = EditOptions(
        prompt="night", source=clip, output=tmp_path / "whole.mkv", encoding=LOSSLESS, resolution=(64, 64)
    )
    whole = edit_video(model, build_config(), options, host=load_plugins())
    assert len(whole.scene_cuts) == 1
    joined = attrs.evolve(options, output=tmp_path / "joined.mkv")
    assert in_pieces(model, build_config(), joined)[0] == 2
    assert torch.equal(frames_of(joined.output), frames_of(options.output))


def test_a_piece_without_its_place_in_the_clip_would_differ(tmp_path: Path) -> None:
    clip = clip_of_scenes(tmp_path / "in.mkv")
    options = EditOptions(prompt="night", source=clip, output=tmp_path / "out.mkv", resolution=(48, 48))
    model, host = toy_model(), load_plugins()
    piece = list(source_pieces(model, options))[1]
    placed = edit_piece(model, build_config(), options, piece, host=host)
    begin = attrs.evolve(piece.begin, first_frame=0)
    elsewhere = edit_piece(model, build_config(), options, attrs.evolve(piece, begin=begin), host=host)
    assert not torch.equal(placed.blocks[0].latents, elsewhere.blocks[0].latents)


@pytest.mark.parametrize(
    ("settings", "changed", "why"),
    [
        ((), {}, None),
        (("prune.keep=0.5",), {}, "feedback that goes on from scene to scene"),
        (("prune.keep=0.5",), {"dense": True}, None),
        (("prune.scene_cuts=false",), {}, "is one scene"),
        (("criterion=pixel",), {}, "reads pixel frames"),
    ],
)
def test_what_goes_on_over_a_cut_is_computed_whole(settings, changed, why: str | None) -> None:
    options = EditOptions(prompt="x", output=Path("out.mp4"), **changed)
    found = why_whole(load_plugins(), build_config(settings=settings), options)
    assert (found is None) if why is None else (why in (found or ""))
