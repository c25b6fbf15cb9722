"""Random pruning at the rate of another run."""

import math

import attrs
import torch

from lipar.hookspecs import hookimpl
from lipar.job import Job
from lipar.layout import TokenLayout
from lipar.types import Latents


@attrs.define(eq=False)
class SameRate:
    """A plugin that prunes at random and keeps the same number of tokens in every block as another run."""

    kept_per_block: dict[int, int]
    """Tokens to keep by the first latent frame of the block."""
    seed: int = 0

    @hookimpl
    def lipar_prune(self, source: Latents, first_frame: int, job: Job) -> TokenLayout:
        """Keep that many tokens, uniformly at random."""
        patch = job.patch_size
        grid = (source.shape[1], source.shape[3] // patch, source.shape[4] // patch)
        count = math.prod(grid)
        generator = torch.Generator().manual_seed(self.seed + first_frame)
        keep = torch.zeros(count, dtype=torch.bool)
        keep[torch.randperm(count, generator=generator)[: self.kept_per_block[first_frame]]] = True
        return TokenLayout(
            keep.view(grid).to(source.device), first_frame=first_frame, has_history=job.history is not None
        )
