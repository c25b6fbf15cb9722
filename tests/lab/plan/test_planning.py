"""The numbers of planned blocks."""

import torch
from plan_toys import toy_host, toy_model

from lipar.config import build_config
from lipar.masks.source import SourcePiece
from lipar_lab.plan.block_plan import kept_fraction
from lipar_lab.plan.planning import plan_blocks

HOST = toy_host()


def plan(latents, pixel_frames, **table):
    model = toy_model()
    pieces = [SourcePiece(latents=latents)]
    config = build_config(settings=[table])
    return list(plan_blocks(model, model.autoencoder, config, pieces, lambda: pixel_frames, host=HOST))


def two_scenes():
    generator = torch.Generator().manual_seed(1)
    return torch.cat(
        [torch.randn(1, 1, 4, 8, 8, generator=generator).repeat(1, n, 1, 1, 1) for n in (12, 9)], 1
    )


def test_context_grows_and_is_whole_from_then_on() -> None:
    blocks = plan(two_scenes(), 84)
    assert [block.context_frames for block in blocks] == [3, 6, 7, 7, 3, 6, 7]
    assert [block.steady for block in blocks] == [False, False, True, True, False, False, True]
    assert [block.context_rows for block in blocks] == [16 * block.context_frames for block in blocks]


def test_a_scene_cut_is_marked_and_its_block_kept_in_full() -> None:
    blocks = plan(two_scenes(), 84)
    assert [block.cut for block in blocks] == [False] * 4 + [True] + [False] * 2
    assert [block.has_history for block in blocks] == [False, True, True, True, False, True, True]
    assert blocks[4].kept_fraction == 1


def test_without_detection_there_is_one_scene() -> None:
    blocks = plan(two_scenes(), 84, prune={"scene_cuts": False})
    assert not any(block.cut for block in blocks)


def test_masks_are_timed() -> None:
    assert all(block.mask > 0 for block in plan(two_scenes(), 84))


def test_copies_are_not_counted_in_the_kept_fraction() -> None:
    blocks = plan(two_scenes(), 78)  # 6 pixel frames less: the last block shows two latent frames of three
    assert blocks[-1].pixel_frames == (72, 78) and blocks[-1].shown_tokens == 32
    assert kept_fraction(blocks) == (48 * 2) / (48 * 6 + 32)
    assert kept_fraction([]) is None
