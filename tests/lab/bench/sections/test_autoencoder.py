"""The section `autoencoder`."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from lipar.plugin.host import load_plugins
from lipar_adapters.wan.random_autoencoders import random_wan
from lipar_lab.bench.autoencoders import ON_GPU, random, sliding_picture, subjects, tiny
from lipar_lab.bench.sections.autoencoder import changing_only_at, fits, lines, measure_regions, moving_box
from lipar_lab.bench.setup import Setup, load_model


def setup(rows=8):
    """What a section is given for the toy shape on a CPU, as far as this one asks."""
    device = torch.device("cpu")
    model = load_model("toy", 1, device, torch.float32, (rows, rows))
    return Setup(settings=None, model=model, host=load_plugins(), device=device, trace=None, peak_flops=1.0)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 1.0])
def test_a_box_covers_its_share_of_each_frame_and_moves(fraction):
    mask = moving_box((5, 12, 16), fraction)
    assert (mask.float().mean((1, 2)) - fraction).abs().max() < 0.05
    assert fraction == 1.0 or all(not torch.equal(one, other) for one, other in pairwise(mask))


def test_latents_change_at_the_tokens_of_the_mask_only():
    latents = torch.randn(1, 3, 16, 8, 12)
    mask = moving_box((3, 4, 6), 0.25)
    video = changing_only_at(latents, mask)
    changed = (video[0, 1:] != video[0, :-1]).any(1)
    assert torch.equal(changed, mask[1:].repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_the_picture_slides():
    frames = sliding_picture(4, 16, 24)
    assert frames.shape == (4, 3, 16, 24)
    assert torch.equal(frames[1:, :, :, :-3], frames[:-1, :, :, 3:])


def test_the_bundled_autoencoder_is_measured_with_its_error():
    figures = measure_regions(tiny(setup(), 12), [1.0, 0.2], repeats=1)
    rows = {(row["masks"], row["changed"]): row for row in figures["rows"]}
    assert rows.keys() == {("box", 1.0), ("box", 0.2), ("clustered", 0.2)}
    assert rows["box", 1.0]["decoded"] == 1 and rows["box", 1.0]["worst_frame"] == 120
    assert 0.2 <= rows["box", 0.2]["decoded"] < 1 and 25 < rows["box", 0.2]["worst_frame"] < 120
    assert rows["box", 0.2]["worst_square"] <= rows["box", 0.2]["worst_frame"]
    assert lines(figures)[0].startswith("decoding by regions, tiny, 128x128 pixels, whole ")


@pytest.mark.parametrize("name", ON_GPU)
def test_random_weights_are_timed_and_have_no_error(monkeypatch, name):
    small = partial(random_wan, base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    monkeypatch.setattr("lipar_adapters.wan.random_autoencoders.random_wan", small)
    figures = measure_regions(random(setup(rows=2), name, 12), [0.5], repeats=1)
    assert figures["autoencoder"] == name and figures["rows"][0]["ratio"].pairs == 1
    assert "worst_frame" not in figures["rows"][0] and "worst frame" not in lines(figures)[1]


def test_on_a_cpu_the_bundled_autoencoder_is_measured():
    assert fits(setup())
    assert [subject.name for subject in subjects(setup(), 12)] == ["tiny"]
