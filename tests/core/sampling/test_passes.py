"""The passes over a block: noise is added and removed step by step, then the model sees the clean latents."""

import pytest
import torch

from lipar.config import build_config
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.new_job import new_job
from lipar.plugin.host import load_plugins
from lipar.protocols import ForwardPass
from lipar.sampling.passes import Passes
from lipar.testing.closeness import assert_near
from lipar.testing.toy import ToyAutoencoder, ToyModel

SOURCE = torch.randn(1, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
LAYOUT = TokenLayout.keep_all((3, 2, 2), has_history=False)


class Known:
    """Answers with the flow to known clean latents, and notes what it was asked."""

    def __init__(self, clean):
        self.clean, self.seen = clean, []

    @hookimpl
    def lipar_forward(self, latents, forward_pass: ForwardPass):
        self.seen.append((forward_pass, latents))
        if forward_pass.clean:
            return torch.zeros_like(latents)
        return (latents - self.clean) / forward_pass.sigma  # x0 = x - sigma flow


def draws(frame, index, shape):
    return torch.full(shape, float(10 * index + frame))


def run(sigmas, clean):
    known = Known(clean)
    host = load_plugins(known)
    job = new_job(host, build_config(), ToyModel(autoencoder=ToyAutoencoder()), dense=True)
    return known, Passes(host=host, sigmas=sigmas, draw=draws), job


def test_each_step_starts_from_the_estimate_before_it_with_a_draw_of_its_own():
    clean = torch.ones_like(SOURCE)
    known, passes, job = run((0.8, 0.5), clean)
    assert_near(passes.denoise(job, SOURCE, LAYOUT), clean, 2e-6)
    frames = torch.arange(3.0).reshape(1, 3, 1, 1, 1)
    (first, noisy), (second, again) = known.seen
    assert (first.step, first.sigma, second.step, second.sigma) == (0, 0.8, 1, 0.5)
    assert_near(noisy, 0.2 * SOURCE + 0.8 * frames, 2e-6)
    assert_near(again, 0.5 * clean + 0.5 * (10 + frames), 2e-6)


def test_without_steps_the_source_is_the_estimate():
    known, passes, job = run((), SOURCE)
    assert passes.denoise(job, SOURCE, LAYOUT) is SOURCE and known.seen == []


def test_the_clean_pass_sees_the_latents_as_they_are():
    known, passes, job = run((0.8,), SOURCE)
    passes.clean(job, SOURCE, LAYOUT)
    ((forward_pass, latents),) = known.seen
    assert forward_pass.clean and forward_pass.sigma == 0
    assert torch.equal(latents, SOURCE)


def test_an_error_of_the_model_passes_through():
    class Broken:
        @hookimpl
        def lipar_forward(self):
            raise ZeroDivisionError

    host = load_plugins(Broken())
    job = new_job(host, build_config(), ToyModel(autoencoder=ToyAutoencoder()), dense=True)
    with pytest.raises(ZeroDivisionError):
        Passes(host=host, sigmas=(0.5,), draw=draws).clean(job, SOURCE, LAYOUT)
