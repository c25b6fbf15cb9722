"""The criterion `random` prunes as much as it is told, at places that say nothing about the video."""

import pytest
import torch

from lipar import Scheduler, build_config
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.testing.closeness import spread
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_plugins.criteria_random import RandomCriterion

FORMAT = SourceFormat(patch_size=2)
STILL = torch.zeros(1, 1, 4, 24, 24)


def read(first_frame, frames=3, seed=0, latents=STILL):
    block = SourceBlock(latents=latents.expand(-1, frames, -1, -1, -1), first_frame=first_frame)
    return RandomCriterion(seed=seed).reader(FORMAT)(block)


def test_a_frame_has_the_same_distances_in_every_block_that_it_is_in():
    assert torch.equal(read(0)[2], read(2)[0])


def test_distances_depend_on_the_seed_and_not_on_the_source():
    assert not torch.equal(read(0), read(0, seed=1))
    assert torch.equal(read(0), read(0, latents=STILL + 7))


def test_distances_are_uniform():
    values = read(0, frames=40).flatten().sort().values
    even = torch.linspace(0, 1, values.shape[0])
    assert float((values - even).abs().max()) < 2 / values.shape[0] ** 0.5 * float(spread(even)) / 0.29


def kept_of_blocks(*settings, frames=36):
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    config = build_config(settings=["criterion=random", "refiners=['threshold']", *settings])
    blocks = Scheduler(model, config).run([STILL.expand(-1, frames, -1, -1, -1)])
    return [block.layout.kept_fraction for block in blocks][1:]


@pytest.mark.parametrize("fraction", [0.1, 0.32, 0.5])
def test_with_a_quantile_every_block_is_pruned_by_that_fraction(fraction):
    tokens = 3 * 12 * 12
    for kept in kept_of_blocks(f"prune.quantile={fraction}"):
        assert kept == pytest.approx(1 - fraction, abs=1.5 / tokens)


def test_with_prune_keep_blocks_keep_that_fraction():
    assert sum(kept := kept_of_blocks("prune.keep=0.68")) / len(kept) == pytest.approx(0.68, abs=0.005)


def test_a_threshold_prunes_its_own_fraction_and_the_long_term_test_adds_nothing():
    kept = kept_of_blocks("prune.tau_short=0.32", "prune.tau_long=0.32")
    deviation = (0.32 * 0.68 / (3 * 12 * 12 * len(kept))) ** 0.5
    assert sum(kept) / len(kept) == pytest.approx(0.68, abs=4 * deviation)
