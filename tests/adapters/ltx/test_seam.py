"""Forwards of an LTX transformer under `lipar.enable`: bit-equal where all is kept, for any shape and timestep."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ltx_toys import GRID, forward, some_layout, toy_transformer

import lipar
from lipar import TokenLayout
from lipar.config import Config, PartConfig
from lipar.testing.closeness import assert_near

grids = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@settings(max_examples=15, deadline=None)
@given(
    grid=grids,
    videos=st.integers(1, 2),
    heads=st.integers(1, 3),
    head_dim=st.sampled_from([8, 12, 16]),
    per_token=st.booleans(),
    rate=st.sampled_from([8.0, 25.0]),
)
def test_keep_all_is_the_stock_forward_bit_for_bit(
    dtype: torch.dtype,
    grid: tuple[int, int, int],
    videos: int,
    heads: int,
    head_dim: int,
    per_token: bool,
    rate: float,
) -> None:
    sizes = {"num_attention_heads": heads, "attention_head_dim": head_dim}
    transformer = toy_transformer(**sizes, cross_attention_dim=heads * head_dim).to(dtype)
    count = grid[0] * grid[1] * grid[2]
    generator = torch.Generator().manual_seed(1)
    changes: dict[str, Any] = {
        "hidden_states": torch.randn(videos, count, 8, generator=generator, dtype=torch.float32).to(dtype),
        "encoder_hidden_states": torch.randn(videos, 5, 16, generator=generator).to(dtype),
        "rope_interpolation_scale": (8 / rate, 32, 32),
    }
    if per_token:
        changes["timestep"] = 1000 * torch.rand(videos, count, generator=generator)
    stock = forward(transformer, grid, videos=videos, **changes)
    lipar.enable(transformer, layout=TokenLayout.keep_all(grid, has_history=False))
    assert torch.equal(forward(transformer, grid, videos=videos, **changes), stock)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_on_a_gpu_keep_all_is_the_stock_forward_and_pruned_ones_are_those_of_the_cpu(
    dtype: torch.dtype,
) -> None:
    sizes = {"num_attention_heads": 4, "attention_head_dim": 64, "cross_attention_dim": 256}
    on_cpu, on_gpu = toy_transformer(**sizes), toy_transformer(**sizes).to("cuda", dtype)
    generator = torch.Generator().manual_seed(1)
    noisy, prompt = torch.randn(1, 18, 8, generator=generator), torch.randn(1, 5, 16, generator=generator)
    given = {"hidden_states": noisy.to(dtype), "encoder_hidden_states": prompt.to(dtype)}
    stock = forward(on_gpu, **given)
    lipar.enable(on_gpu, layout=TokenLayout.keep_all(GRID, has_history=False))
    assert torch.equal(forward(on_gpu, **given), stock)
    for transformer in (on_cpu, on_gpu):
        lipar.enable(transformer, layout=some_layout())
    found = forward(on_gpu, **given).cpu().float()
    wanted = forward(on_cpu, hidden_states=noisy, encoder_hidden_states=prompt)
    assert_near(found, wanted, 1e-3 if dtype == torch.float32 else 0.1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), per_token=st.booleans())
def test_pruned_tokens_lead_to_the_clean_values_of_those_that_they_repeat(seed: int, per_token: bool) -> None:
    transformer, layout = toy_transformer(), some_layout(seed)
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(1, layout.token_count, 8, generator=generator)
    timestep = torch.full((1, layout.token_count), 600.0) if per_token else torch.tensor([600.0])
    if per_token:
        timestep[:, : layout.tokens_per_frame] = 0.0  # an image condition
    lipar.enable(transformer, layout=layout)
    velocity = forward(transformer, hidden_states=noisy, timestep=timestep)
    sigma = (timestep / 1000).reshape(1, -1, 1)
    clean = noisy - sigma * velocity
    assert_near(clean, layout.fill(None, layout.prune(clean)), 1e-5)


@pytest.mark.parametrize("recovery", ["m-degree", "naive-copy", "none", "proportional"])
@pytest.mark.parametrize("noise", ["filtering", "noisy-chain"])
def test_what_is_at_pruned_places_is_not_computed(noise: str, recovery: str) -> None:
    transformer, layout = toy_transformer(), some_layout()
    lipar.enable(transformer, {"noise": noise, "recovery": recovery}, layout=layout)
    noisy = torch.randn(1, layout.token_count, 8, generator=torch.Generator().manual_seed(5))
    kept = layout.prune(forward(transformer, hidden_states=noisy))
    noisy[:, layout.pruned] = 7.0
    other = layout.prune(forward(transformer, hidden_states=noisy))
    assert torch.equal(kept, other)
    assert kept.isfinite().all()


def test_a_still_clip_gives_what_the_whole_one_does() -> None:
    """Fills at their own places are exact where a pruned token is equal to the one that it repeats, in every layer."""
    transformer = toy_transformer(num_layers=1)
    frame = torch.randn(1, GRID[1] * GRID[2], 8, generator=torch.Generator().manual_seed(2))
    noisy = frame.repeat(1, GRID[0], 1)
    stock = forward(transformer, hidden_states=noisy)
    keep_mask = torch.zeros(GRID, dtype=torch.bool)
    keep_mask[0] = True
    layout = TokenLayout(keep_mask, has_history=False)
    config = Config(noise=PartConfig("noisy-chain"), recovery=PartConfig("m-degree", {"degree": GRID[0]}))
    lipar.enable(transformer, config, layout=layout)
    pruned = forward(transformer, hidden_states=noisy)
    assert_near(layout.prune(pruned), layout.prune(stock), 1e-5)


def test_compiled_layers_give_what_eager_ones_do() -> None:
    plain, compiled, layout = toy_transformer(), toy_transformer(), some_layout()
    for transformer in (plain, compiled):
        lipar.enable(transformer, layout=layout)
    for block in compiled.transformer_blocks:
        block.compile(backend="eager")
    try:
        found = forward(compiled)
    finally:
        torch._dynamo.reset()
    assert_near(found, forward(plain), 1e-5)


def test_a_forward_that_does_not_say_its_sizes_is_refused_and_leaves_nothing_behind() -> None:
    transformer = toy_transformer()
    stock = forward(transformer)
    lipar.enable(transformer, layout=some_layout())
    with pytest.raises(ValueError, match=r"by its num_frames, height and width .* got \(None, None, None\)"):
        forward(transformer, num_frames=None, height=None, width=None)
    with pytest.raises(ValueError, match="are 3x2x2 = 12 tokens, but there are 18"):
        forward(transformer, width=2)
    with pytest.raises(ValueError, match="timesteps per token come as b, 18"):
        forward(transformer, timestep=torch.zeros(1, 7))
    with pytest.raises(ValueError, match="the layout is for 3x2x3 = 18 tokens"):
        forward(transformer, (3, 3, 2))
    lipar.disable(transformer)
    assert torch.equal(forward(transformer), stock)


def test_a_foreign_processor_is_refused_with_its_layer() -> None:
    class Mine:
        pass

    transformer = toy_transformer()
    transformer.transformer_blocks[1].attn1.processor = Mine()
    with pytest.raises(
        TypeError, match=r"layer 1 has the processor Mine; .* diffusers' LTXVideoAttnProcessor"
    ):
        lipar.enable(transformer, layout=some_layout())
