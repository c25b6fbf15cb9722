"""Latents and the output tokens of a Wan transformer, in both directions."""

import pytest
import torch
from wan_toys import toy_transformer

from lipar_adapters.wan.output_tokens import latents_of_tokens, output_tokens

PATCHES = [(1, 2, 2), (2, 2, 2), (1, 2, 1), (1, 2, 4), (1, 1, 1), (2, 1, 2)]


@pytest.mark.parametrize("patch", PATCHES)
def test_there_and_back_is_the_same(patch: tuple[int, int, int]) -> None:
    latents = torch.randn(2, 16, 4, 8, 8)
    grid = (4 // patch[0], 8 // patch[1], 8 // patch[2])
    tokens = output_tokens(latents, patch)
    assert tokens.shape == (2, grid[0] * grid[1] * grid[2], 16 * patch[0] * patch[1] * patch[2])
    assert torch.equal(latents_of_tokens(tokens, grid, patch=patch), latents.transpose(1, 2))


@pytest.mark.parametrize("patch", [(1, 2, 2), (2, 2, 2)])
def test_the_order_is_that_of_the_models_output(patch: tuple[int, int, int]) -> None:
    transformer, seen = toy_transformer(patch_size=patch), []
    transformer.proj_out.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.no_grad():
        flow = transformer(torch.randn(1, 16, 4, 8, 8), torch.tensor([500.0]), torch.randn(1, 7, 64)).sample
    assert torch.equal(output_tokens(flow, patch), seen[0])
