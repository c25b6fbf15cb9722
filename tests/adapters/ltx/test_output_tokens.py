"""The order of values in an LTX token is that of the pipelines' own packing."""

import torch
from diffusers import LTXPipeline
from hypothesis import given
from hypothesis import strategies as st

from lipar_adapters.ltx.output_tokens import latents_of_tokens

sides = st.integers(1, 3)


@given(grid=st.tuples(sides, sides, sides), patch_t=st.integers(1, 2), side=st.integers(1, 2))
def test_unpacked_tokens_are_the_latents(grid: tuple[int, int, int], patch_t: int, side: int) -> None:
    (frames, rows, cols), patch = grid, (patch_t, side, side)
    latents = torch.randn(1, 4, frames * patch_t, rows * side, cols * side)
    packed = LTXPipeline._pack_latents(latents, side, patch_t)
    assert torch.equal(latents_of_tokens(packed, grid, patch=patch), latents.transpose(1, 2))
