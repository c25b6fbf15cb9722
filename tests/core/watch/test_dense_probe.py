"""The dense probe: what it runs, and that it leaves no trace. Results stay the same: tests/core/test_scheduler.py."""

import pytest
import torch

from lipar import Scheduler, TokenLayout, build_config, load_plugins
from lipar.hookspecs import hookimpl
from lipar.testing.toy import ToyAutoencoder, ToyModel


def clip(frames):
    scene = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    return scene + 0.3 * torch.randn(1, frames, 4, 8, 8)


class Half:
    """Prunes every second row of all blocks but the first."""

    @hookimpl
    def lipar_prune(self, job, first_frame):
        mask = torch.ones(3, 4, 4, dtype=torch.bool)
        mask[:, ::2] = first_frame == 0
        return TokenLayout(mask, first_frame=first_frame, has_history=job.history is not None)


class Watch:
    """Notes the kept tokens of every forward, and whether it was run only to be timed."""

    def __init__(self):
        self.passes = []

    @hookimpl(wrapper=True)
    def lipar_forward(self, job, forward_pass, layout):
        self.passes.append((layout.first_frame, job.probing, forward_pass.clean, layout.kept_count))
        return (yield)


def scheduler(watch, probe):
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    return Scheduler(model, build_config(), host=load_plugins(Half(), watch), probe=probe)


def test_a_block_is_run_dense_in_all_its_passes_right_before_its_pruned_run():
    watch = Watch()
    blocks = list(scheduler(watch, lambda index: index == 3).run([clip(12)]))
    dense = [(9, True, False, 48), (9, True, False, 48), (9, True, True, 48)]
    pruned = [(9, False, False, 24), (9, False, False, 24), (9, False, True, 24)]
    assert [seen for seen in watch.passes if seen[0] == 9] == dense + pruned
    assert [block.dense_seconds is None for block in blocks] == [True, True, True, False]
    assert blocks[3].dense_seconds > 0


def test_an_error_in_the_dense_run_leaves_no_job_that_probes(monkeypatch):
    running = scheduler(Watch(), lambda index: True)
    forward = ToyModel.forward

    def broken(model, latents, forward_pass, attention):
        if running.job.probing:
            raise ZeroDivisionError
        return forward(model, latents, forward_pass, attention)

    monkeypatch.setattr(ToyModel, "forward", broken)
    with pytest.raises(ZeroDivisionError):
        list(running.run([clip(12)]))
    assert not running.job.probing


@pytest.mark.parametrize("saving", ["merging=tome", "reuse=step-skip"])
def test_a_block_that_prunes_nothing_is_timed_where_something_else_is_saved_and_stays_the_same(saving):
    model, watch, video = ToyModel(autoencoder=ToyAutoencoder()), Watch(), clip(12)
    model.set_prompt("a dog")

    def blocks(*settings, probe=True):
        config = build_config(settings=["refiners=['keep-all']", *settings])
        host = load_plugins(watch)
        return list(Scheduler(model, config, host=host, probe=lambda index: probe).run([video]))

    assert all(block.dense_seconds is None for block in blocks())
    watch.passes.clear()
    timed = blocks(saving)
    assert [block.dense_seconds is None for block in timed] == [True, True, False, False]
    assert {kept for _, probing, _, kept in watch.passes if probing} == {48}
    for one, other in zip(timed, blocks(saving, probe=False), strict=True):
        assert torch.equal(one.latents, other.latents)
