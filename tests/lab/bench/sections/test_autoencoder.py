"""The section `autoencoder`."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from lipar.plugin.host import load_plugins
from lipar_adapters.wan.random_autoencoders import random_taehv, random_wan
from lipar_lab.bench.autoencoders import sliding_picture, subjects, tiny
from lipar_lab.bench.sections.autoencoder import changing_only_at, lines, measure_regions, moving_box


class Model:
    """A model as far as the section asks it."""

    shape = SimpleNamespace(latent_channels=4, rows=8, cols=8, patch=2, causal=True)
    device, dtype = torch.device("cpu"), torch.float32

    def random_autoencoder(self, kind):
        if kind == "taehv":
            return random_taehv(4, self.dtype)
        small = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
        return random_wan(4, self.dtype, channels_last=kind == "wan-channels-last", **small)


def setup(on_cuda=False, rows=8):
    model = Model()
    model.shape = SimpleNamespace(**vars(Model.shape) | {"rows": rows, "cols": rows})
    return SimpleNamespace(model=model, device=model.device, host=load_plugins(), on_cuda=on_cuda)


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


def test_on_a_gpu_random_weights_are_timed_and_have_no_error():
    made = subjects(setup(on_cuda=True, rows=2), 12)
    assert [subject.name for subject in made] == ["taehv", "wan", "wan-channels-last"]
    for subject in made:
        figures = measure_regions(subject, [0.5], repeats=1)
        assert "worst_frame" not in figures["rows"][0] and "worst frame" not in lines(figures)[1]


def test_on_a_cpu_the_bundled_autoencoder_is_measured():
    assert [subject.name for subject in subjects(setup(), 12)] == ["tiny"]
