"""Masks of a calibration."""

import pytest
import torch
from plan_toys import toy_host, toy_model

from lipar import Scheduler
from lipar.config import build_config
from lipar_lab.plan.given_share import GivenShare


def counts(shares, **table):
    masks, host, found = GivenShare(), toy_host(), []
    with host.extended(masks):
        blocks = Scheduler(toy_model(), build_config(settings=[table]), host=host).run(
            [torch.randn(1, 1, 4, 8, 8).repeat(1, 3 * len(shares), 1, 1, 1)]
        )
        for share in shares:
            masks.share = share
            found.append(next(blocks).layout.kept_count)
    return found


def test_blocks_keep_the_share_and_the_first_one_everything() -> None:
    assert counts([0.5, 0.5, 0.25, 0.0, 1.0]) == [48, 24, 12, 0, 48]


def test_sizes_that_an_engine_allows_are_kept() -> None:
    refiners = ["threshold", {"name": "bucket", "multiple": 16}]
    assert counts([1.0, 0.5, 0.25, 0.0], refiners=refiners) == [48, 32, 16, 0]


def test_masks_of_one_share_differ() -> None:
    masks, host = GivenShare(share=0.5), toy_host()
    with host.extended(masks):
        blocks = list(
            Scheduler(toy_model(), build_config(), host=host).run(
                [torch.randn(1, 1, 4, 8, 8).repeat(1, 9, 1, 1, 1)]
            )
        )
    assert not torch.equal(blocks[1].layout.keep_mask, blocks[2].layout.keep_mask)


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        counts([1.0, 1.5])
