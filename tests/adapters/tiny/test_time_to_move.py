"""Time-to-Move on the bundled bidirectional model: what pruning does to a clip of a trained model."""

import attrs
import pytest
import torch
from PIL import Image

from lipar.config import build_config
from lipar.plugin.host import load_plugins
from lipar_adapters.time_to_move.adapter import TimeToMove
from lipar_adapters.time_to_move.motion import MotionClip, MotionRequest
from lipar_adapters.tiny.vocabulary import UnknownWordsWarning

FRAMES, SIDE = 17, 128


def psnr(clip: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * torch.log10((clip - other).square().mean()))


def dragged_disc(seed: int = 3) -> MotionRequest:
    """A soft still background, and a disc that is dragged over it."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 8, 8, generator=generator)
    still = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)[0]
    rows, cols = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    motion = (255 * still).byte().repeat(FRAMES, 1, 1, 1)
    mask = torch.zeros_like(motion)
    for index in range(FRAMES):
        disc = (rows - 64).square() + (cols - 30 - 3 * index).square() < 18**2
        motion[index][:, disc] = torch.tensor([230, 50, 25], dtype=torch.uint8)[:, None]
        mask[index][:, disc] = 255
    first = Image.fromarray(motion[0].permute(1, 2, 0).numpy())
    return MotionRequest(
        first_frame=first, motion=motion, mask=mask, prompt="a red ball, photo", size=(SIDE, SIDE)
    )


@pytest.fixture(scope="module")
def clips() -> dict[str, MotionClip]:
    """Dense, and pruned with several donors; the last from another seed."""
    host = load_plugins()
    model = TimeToMove().load_motion(torch.device("cpu"), torch.float32)
    scene = model.prepare(dragged_disc())

    def make(scene: object, dense: bool, *settings: str) -> MotionClip:
        config = build_config(settings=settings)
        return model.generate(scene, dense=dense, config=config, host=host, progress=lambda done, total: None)  # type: ignore[arg-type]

    return {
        "dense": make(scene, True),
        "filtering": make(scene, False),
        "noisy-chain": make(scene, False, "noise.name=noisy-chain"),
        "image-condition": make(scene, False, "noise.name=image-condition"),
        "none": make(scene, False, "recovery.name=none"),
    }


def test_words_that_the_model_does_not_know_are_named() -> None:
    model = TimeToMove().load_motion(torch.device("cpu"), torch.float32)
    with pytest.warns(UnknownWordsWarning, match="does not know 'owlet'"):
        model.prepare(attrs.evolve(dragged_disc(), prompt="an owlet, photo"))


def test_it_begins_with_the_image(clips: dict[str, MotionClip]) -> None:
    first = dragged_disc().motion[0] / 255
    assert psnr(clips["dense"].pixels[0], first) > 27


def test_the_object_is_where_it_was_dragged(clips: dict[str, MotionClip]) -> None:
    mask = dragged_disc().mask[:, 0] > 0
    redness = clips["dense"].pixels[:, 0] - clips["dense"].pixels[:, 1:].mean(1)
    for index in range(FRAMES):
        assert redness[index][mask[index]].mean() > redness[index][~mask[index]].mean() + 0.15


def test_pruning_leaves_the_still_part_out_and_stays_near_dense(clips: dict[str, MotionClip]) -> None:
    assert 0.2 < clips["filtering"].kept_fraction < 0.8
    assert psnr(clips["filtering"].pixels, clips["dense"].pixels) > 28


@pytest.mark.parametrize("other", ["noisy-chain", "image-condition", "none"])
def test_the_default_donors_are_nearest_to_dense(clips: dict[str, MotionClip], other: str) -> None:
    ours, theirs = (psnr(clips[name].pixels, clips["dense"].pixels) for name in ("filtering", other))
    assert ours > theirs
