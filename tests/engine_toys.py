"""Runs of a toy model with given numbers of kept tokens, eager or replayed, for tests of the engines."""

import torch

from lipar import Config, Scheduler
from lipar.config import PartConfig, PruneConfig, RunConfig
from lipar.engines.engine import GraphEngine
from lipar.engines.recording import CallRecorder
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyModel

GRID = (3, 4, 4)


class GivenCounts:
    """A plugin that keeps random tokens, so many in each block; the first block is kept in full."""

    def __init__(self, counts):
        self.counts, self.index = counts, 0

    @hookimpl
    def lipar_prune(self, job, first_frame):
        kept = self.counts[first_frame // 3] if job.history is not None else 48
        mask = torch.zeros(48, dtype=torch.bool)
        mask[torch.randperm(48, generator=torch.Generator().manual_seed(first_frame))[:kept]] = True
        mask = mask.to(job.model.device)
        return TokenLayout(mask.view(GRID), first_frame=first_frame, has_history=job.history is not None)


def scheduler(counts, *, replayed, noise="step-shift", model=None, **config):
    model = model or ToyModel()
    model.set_prompt("watercolour")
    config = Config(
        noise=PartConfig(noise),
        prune=PruneConfig(tau_short=0.1, tau_long=0.2, scene_cuts=False),
        run=RunConfig(engine="eager"),
        **config,
    )
    made = Scheduler(model, config, host=load_plugins(GivenCounts(counts)))
    if replayed:
        use_replay(made)
    return made


def use_replay(made):
    engine = GraphEngine(made.model, "in a test", recorder=CallRecorder(), compiles=False)
    made.job.engine = engine
    made.job.cache._fused = True
    return engine


def source(blocks, seed=0):
    return torch.randn(1, 3 * blocks, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def run(made, blocks):
    return [block.latents for block in made.run([source(blocks)])]
