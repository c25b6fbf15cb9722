"""The stages can be replaced or watched."""

import pytest
import torch

from lipar import Scheduler, TokenLayout, build_config, load_plugins
from lipar.config import Config, PruneConfig
from lipar.hookspecs import hookimpl
from lipar.testing.toy import ToyAutoencoder, ToyModel


def run(*plugins):
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    source = torch.randn(1, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).expand(-1, 6, -1, -1, -1)
    config = Config(prune=PruneConfig(scene_cuts=False))
    return list(Scheduler(model, config, host=load_plugins(*plugins)).run([source.clone()]))


class Answer:
    """Answers every prune with everything kept, and counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    @hookimpl
    def lipar_prune(self, job, source, first_frame):
        self.asked += 1
        grid = (source.shape[1], source.shape[3] // 2, source.shape[4] // 2)
        return TokenLayout.keep_all(grid, first_frame=first_frame, has_history=job.history is not None)


def test_ours_answers_where_nobody_else_does():
    assert [block.layout.kept_fraction for block in run()] == [1.0, 0.0]


def test_the_first_answer_wins_and_ours_comes_last():
    first, second = Answer(), Answer()
    blocks = run(first, second)
    assert [block.layout.kept_fraction for block in blocks] == [1.0, 1.0]
    # what was registered last is asked first
    assert (first.asked, second.asked) == (0, 2)


def test_none_passes():
    class Pass:
        @hookimpl
        def lipar_prune(self):
            return None

    assert [block.layout.kept_fraction for block in run(Pass())] == [1.0, 0.0]


def test_a_wrapper_watches_every_stage_and_changes_nothing():
    class Watch:
        def __init__(self):
            self.seen = []

        @hookimpl(wrapper=True)
        def lipar_prune(self, first_frame):
            layout = yield
            self.seen.append(("prune", first_frame, layout.kept_count))
            return layout

        @hookimpl(wrapper=True)
        def lipar_forward(self, forward_pass):
            flow = yield
            self.seen.append(("forward", forward_pass.step))
            return flow

        @hookimpl(wrapper=True)
        def lipar_restore(self, layout):
            latents = yield
            self.seen.append(("restore", layout.first_frame))
            return latents

    watch = Watch()
    watched, plain = run(watch), run()
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(watched, plain, strict=True))
    passes = [("forward", 0), ("forward", 1)]
    assert watch.seen == [
        ("prune", 0, 48), *passes, ("restore", 0), ("forward", -1), ("prune", 3, 0), ("restore", 3)
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ["forward", "restore"])
def test_a_stage_can_be_replaced(stage):
    class Still:
        @hookimpl
        def lipar_forward(self, latents):
            return torch.zeros_like(latents) if stage == "forward" else None

        @hookimpl
        def lipar_restore(self, denoised):
            return torch.ones_like(denoised) if stage == "restore" else None

    if stage == "restore":
        assert all(bool((block.latents == 1).all()) for block in run(Still()))
    else:
        # nothing was written to the cache, so that a block with nothing kept has nothing to copy
        with pytest.raises(RuntimeError, match="nothing is kept"):
            run(Still())


def test_the_mask_stream_follows_what_a_hook_decides_for_some_blocks():
    """A drift that our mask would keep in the second block, where a hook keeps nothing: it is due in the third."""

    class Keep:
        def __init__(self, answers):
            self.answers = answers

        @hookimpl
        def lipar_prune(self, job, source, first_frame):
            if first_frame not in self.answers:
                return None
            grid = (source.shape[1], source.shape[3] // 2, source.shape[4] // 2)
            mask = torch.full(grid, self.answers[first_frame])
            return TokenLayout(mask, first_frame=first_frame, has_history=job.history is not None)

    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    # 0.2 a block: beyond tau_long from the first block, but not from the one before
    drift = 0.2 * (torch.arange(9) // 3).reshape(1, -1, 1, 1, 1)
    source = torch.randn(1, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)) + drift
    settings = ["prune.scene_cuts=false", "prune.tau_short=0.3", "prune.tau_long=0.3"]

    def kept(answers, *more):
        config = build_config(settings=[*settings, *more])
        running = Scheduler(model, config, host=load_plugins(Keep(answers)))
        return [block.layout.kept_fraction for block in running.run([source])]

    assert kept({}) == [1.0, 0.0, 1.0]
    assert kept({3: False}) == [1.0, 0.0, 1.0]
    assert kept({3: True}) == [1.0, 1.0, 0.0]
    assert kept({0: True, 3: True}) == [1.0, 1.0, 0.0]
