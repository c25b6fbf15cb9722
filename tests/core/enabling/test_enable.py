"""`lipar.enable` prunes a stock Wan transformer, and `lipar.disable` leaves it as it was."""

import doctest
from typing import Any

import attrs
import pytest
import torch
from einops import rearrange
from wan_toys import object_graph, toy_transformer

import lipar
from lipar import Config, TokenLayout, build_config
from lipar.config import PartConfig
from lipar.enabling.enable import _checked_layout
from lipar.enabling.target import EnableWarning
from lipar.testing.closeness import assert_near, error

GRID = (3, 3, 5)
TOKENS = 45


@pytest.fixture
def transformer() -> Any:
    return toy_transformer()


def some_layout(seed: int = 0, share: float = 0.5) -> TokenLayout:
    keep_mask = torch.rand(GRID, generator=torch.Generator().manual_seed(seed)) < share
    keep_mask[0] = True
    return TokenLayout(keep_mask)


def inputs(
    batch: int = 1, per_token: bool = False, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    timestep = torch.rand((batch, TOKENS) if per_token else (batch,), generator=generator) * 1000
    return {
        "hidden_states": torch.randn(batch, 16, 3, 6, 10, generator=generator).to(dtype),
        "timestep": timestep,
        "encoder_hidden_states": torch.randn(batch, 7, 64, generator=generator).to(dtype),
    }


def run(transformer: Any, given: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = transformer(**given, return_dict=False)[0]
    return output


def tokens_of(output: torch.Tensor) -> torch.Tensor:
    """Output latents as tokens, `b places features`."""
    return rearrange(output, "b c t (h p) (w q) -> b (t h w) (c p q)", p=2, q=2)


def as_bfloat16(transformer: Any) -> Any:
    """Cast as `.to(torch.bfloat16)` casts: the rotary table, too."""
    return torch.nn.Module.to(transformer, torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("per_token", [False, True], ids=["timestep", "timestep-per-token"])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("fused", [False, True], ids=["split", "fused"])
def test_keep_all_is_the_stock_model_bit_for_bit(
    transformer: Any, dtype: torch.dtype, per_token: bool, batch: int, fused: bool
) -> None:
    if dtype == torch.bfloat16:
        transformer = as_bfloat16(transformer)
    if fused:
        transformer.fuse_qkv_projections()
    given = inputs(batch, per_token, dtype)
    stock = run(transformer, given)
    lipar.enable(transformer, layout=TokenLayout.keep_all(GRID))
    assert torch.equal(run(transformer, given), stock)


@pytest.mark.parametrize("fused", [False, True], ids=["split", "fused"])
def test_disable_leaves_no_trace(transformer: Any, fused: bool) -> None:
    if fused:
        transformer.fuse_qkv_projections()
    given, before = inputs(2), object_graph(transformer)
    keys, stock = list(transformer.state_dict()), run(transformer, given)
    lipar.enable(transformer, layout=some_layout())
    assert list(transformer.state_dict()) == keys
    assert not torch.equal(run(transformer, given), stock)
    lipar.disable(transformer)
    assert object_graph(transformer) == before
    assert list(transformer.state_dict()) == keys
    assert torch.equal(run(transformer, given), stock)
    lipar.disable(transformer)


def test_enable_again_replaces_what_was_set(transformer: Any) -> None:
    given, before = inputs(), object_graph(transformer)
    lipar.enable(transformer, layout=some_layout(1))
    first = run(transformer, given)
    lipar.enable(transformer, layout=some_layout(2))
    second = run(transformer, given)
    assert not torch.equal(first, second)
    lipar.enable(transformer, layout=some_layout(1))
    assert torch.equal(run(transformer, given), first)
    lipar.disable(transformer)
    assert object_graph(transformer) == before


@pytest.mark.parametrize("per_token", [False, True], ids=["timestep", "timestep-per-token"])
@pytest.mark.parametrize("recovery", ["m-degree", "naive-copy", "none"])
def test_values_at_pruned_places_do_not_matter(transformer: Any, recovery: str, per_token: bool) -> None:
    layout, given = some_layout(), inputs(per_token=per_token)
    config = Config(recovery=PartConfig(recovery), noise=PartConfig("noisy-chain"))
    lipar.enable(transformer, config, layout=layout)
    kept = layout.keep_mask.flatten()
    clean = tokens_of(run(transformer, given))[:, kept]
    pruned = (~layout.keep_mask).repeat_interleave(2, 1).repeat_interleave(2, 2)
    given["hidden_states"] = given["hidden_states"].masked_fill(pruned, torch.nan)
    assert torch.equal(tokens_of(run(transformer, given))[:, kept], clean)


@pytest.mark.parametrize("per_token", [False, True], ids=["timestep", "timestep-per-token"])
def test_a_pruned_place_is_led_to_its_sources_clean_value(transformer: Any, per_token: bool) -> None:
    layout, given = some_layout(), inputs(2, per_token)
    lipar.enable(transformer, layout=layout)
    sigma = given["timestep"].reshape(2, -1, 1) / 1000
    clean = tokens_of(given["hidden_states"]) - sigma * tokens_of(run(transformer, given))
    source = attrs.evolve(layout, has_history=False).restore_source
    assert_near(clean, clean[:, source], 1e-5)


def test_a_pruned_place_is_led_to_the_clean_value_of_its_origin(transformer: Any) -> None:
    still, given = some_layout(), inputs(2)
    origins = lipar.TokenOrigins.shifted(still.grid, [(0, 1)] * still.frames)
    layout = attrs.evolve(still, origins=origins, keep_mask=still.keep_mask | (origins.place < 0))
    lipar.enable(transformer, layout=layout)
    sigma = given["timestep"].reshape(2, -1, 1) / 1000
    clean = tokens_of(given["hidden_states"]) - sigma * tokens_of(run(transformer, given))
    assert bool(
        (
            layout.restore_source[layout.pruned] % still.tokens_per_frame != layout.position(layout.pruned)
        ).any()
    )
    assert_near(clean, clean[:, layout.restore_source], 1e-5)


def test_a_clean_forward_copies_outputs(transformer: Any) -> None:
    layout, given = some_layout(), {**inputs(), "timestep": torch.zeros(1)}
    lipar.enable(transformer, layout=layout)
    output = tokens_of(run(transformer, given))
    assert torch.equal(output, output[:, attrs.evolve(layout, has_history=False).restore_source])


def test_a_static_clip_is_exact_in_one_layer() -> None:
    transformer, given = toy_transformer(num_layers=1), inputs()
    copies = Config(noise=PartConfig("noisy-chain"))
    given["hidden_states"] = given["hidden_states"][:, :, :1].repeat(1, 1, 3, 1, 1)
    layout, stock = some_layout(), tokens_of(run(transformer, given))
    lipar.enable(transformer, copies, layout=layout)
    kept = layout.keep_mask.flatten()
    pruned = tokens_of(run(transformer, given))
    assert_near(pruned[:, kept], stock[:, kept], 1e-5)
    lipar.enable(transformer, Config(recovery=PartConfig("none")), layout=layout)
    assert error(tokens_of(run(transformer, given))[:, kept], stock[:, kept]) > 1e-3


def test_guidance_branches_do_not_change_each_other(transformer: Any) -> None:
    given = inputs(2)
    given["timestep"] = given["timestep"][:1].repeat(2)  # as pipelines have it
    lipar.enable(transformer, layout=some_layout())
    together = run(transformer, given)
    for branch in range(2):
        alone = run(transformer, {name: value[branch : branch + 1] for name, value in given.items()})
        assert_near(together[branch : branch + 1], alone, 1e-5)


@pytest.mark.parametrize("pruned", [False, True])
def test_an_attention_backend_is_kept_and_handed_on(transformer: Any, pruned: bool) -> None:
    given = inputs()
    for block in transformer.blocks:
        block.attn1.set_attention_backend("_native_math")
    stock = run(transformer, given)
    layout = some_layout() if pruned else TokenLayout.keep_all(GRID)
    lipar.enable(transformer, layout=layout)
    assert torch.equal(run(transformer, given), stock) is not pruned
    for block in transformer.blocks:
        block.attn1.set_attention_backend("native")
    lipar.disable(transformer)
    assert {block.attn1.processor._attention_backend.value for block in transformer.blocks} == {"native"}


def test_arguments_may_be_positional(transformer: Any) -> None:
    given = inputs(per_token=True)
    lipar.enable(transformer, layout=some_layout())
    with torch.no_grad():
        positional = transformer(
            given["hidden_states"], given["timestep"], given["encoder_hidden_states"]
        ).sample
    assert torch.equal(positional, run(transformer, given))


@pytest.mark.parametrize("size", [(3, 10, 6), (3, 6, 12), (4, 6, 10)])
def test_other_tokens_than_the_layouts_are_refused(transformer: Any, size: tuple[int, int, int]) -> None:
    lipar.enable(transformer, layout=some_layout())
    given = inputs()
    grid = (size[0], size[1] // 2, size[2] // 2)
    came = f"make {grid[0]}x{grid[1]}x{grid[2]} = {grid[0] * grid[1] * grid[2]}"
    with pytest.raises(ValueError, match=f"the layout is for 3x3x5 = 45 tokens, but these latents {came}"):
        run(transformer, {**given, "hidden_states": torch.zeros(1, 16, *size)})
    assert run(transformer, given).isfinite().all()


@pytest.mark.parametrize("size", [(3, 7, 10), (3, 6, 11), (3, 7, 11)])
@pytest.mark.parametrize("pruned", [False, True])
def test_latents_that_the_patch_does_not_divide_are_floored_as_stock_does(
    transformer: Any, size: tuple[int, int, int], pruned: bool
) -> None:
    given = inputs()
    divided, rows, cols = given["hidden_states"], size[1], size[2]
    given["hidden_states"] = torch.nn.functional.pad(divided, (0, cols - 10, 0, rows - 6), value=9.0)
    stock = run(transformer, given)
    assert stock.shape[2:] == (3, 6, 10)
    lipar.enable(transformer, layout=some_layout() if pruned else TokenLayout.keep_all(GRID))
    found = run(transformer, given)
    if pruned:
        assert torch.equal(found, run(transformer, {**given, "hidden_states": divided}))
    else:
        assert torch.equal(found, stock)


@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("patch", [(1, 2, 2), (2, 2, 2), (1, 2, 1), (1, 2, 4), (1, 1, 1), (2, 1, 2)])
def test_a_source_is_cut_into_the_tokens_of_any_patch(patch: tuple[int, int, int], odd: int) -> None:
    transformer = toy_transformer(patch_size=patch)
    changing = torch.rand(1, 16, 4, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.002
    source = torch.randn(1, 16, 1, 8, 8, generator=torch.Generator().manual_seed(0)).repeat(1, 1, 4, 1, 1)
    source = torch.where(changing, source + 50, source)
    config = build_config(settings=["prune.tau_short=1e-3", "prune.tau_long=1e-3", "refiners=['threshold']"])
    # what the patch does not divide is left out of the source, too
    padded = torch.nn.functional.pad(source, (0, odd if patch[2] > 1 else 0, 0, odd if patch[1] > 1 else 0))
    lipar.enable(transformer, config, source=padded.transpose(1, 2))
    noisy, text = torch.randn(1, 16, 4, 8, 8), torch.randn(1, 7, 64)
    given = {"hidden_states": noisy, "timestep": torch.tensor([600.0]), "encoder_hidden_states": text}
    found = run(transformer, given)

    def cut(latents: torch.Tensor) -> torch.Tensor:
        """Tokens `t h w d`."""
        size = dict(zip("fpq", patch, strict=True))
        return rearrange(latents[0], "c (t f) (h p) (w q) -> t h w (f c p q)", **size)

    differs = (cut(source)[1:] != cut(source)[:-1]).any(-1)
    from_first = (cut(source)[1:] != cut(source)[:1]).any(-1)
    keep_mask = torch.cat([torch.ones_like(differs[:1]), differs | from_first])
    counted = lipar.summary(transformer)
    assert counted.kept_tokens == int(keep_mask.sum()) < counted.all_tokens == keep_mask.numel()
    clean = cut(noisy - 0.6 * found).flatten(0, 2)[None]
    restored = TokenLayout(keep_mask, has_history=False).restore_source
    assert_near(clean, clean[:, restored], 1e-5)
    lipar.enable(transformer, layout=TokenLayout.keep_all(tuple(keep_mask.shape)))
    kept = run(transformer, given)
    lipar.disable(transformer)
    assert torch.equal(kept, run(transformer, given))


@pytest.mark.parametrize("patch", [(2, 2, 2), (1, 2, 4)])
def test_a_prediction_is_cut_into_the_tokens_of_any_patch(patch: tuple[int, int, int]) -> None:
    transformer = toy_transformer(patch_size=patch)
    settings = ["self_redundancy.full_steps=1", "prune.keep=0.5"]
    lipar.enable(transformer, build_config(settings=settings))
    text = torch.randn(1, 7, 64)
    for level in (900.0, 500.0):
        given = {"hidden_states": torch.randn(1, 16, 4, 8, 8), "timestep": torch.tensor([level])}
        assert run(transformer, {**given, "encoder_hidden_states": text}).shape == (1, 16, 4, 8, 8)
    counted = lipar.summary(transformer)
    assert counted.all_tokens / 2 < counted.kept_tokens < counted.all_tokens


def test_timesteps_of_other_tokens_are_refused(transformer: Any) -> None:
    lipar.enable(transformer, layout=some_layout())
    with pytest.raises(ValueError, match=r"timesteps per token come as b, 45 for this layout, got \[1, 44\]"):
        run(transformer, {**inputs(), "timestep": torch.zeros(1, 44)})


def test_a_forward_that_fails_leaves_nothing_behind(transformer: Any) -> None:
    given = inputs()
    lipar.enable(transformer, layout=some_layout())
    pruned = run(transformer, given)
    with pytest.raises(RuntimeError):
        run(transformer, {**given, "encoder_hidden_states": torch.zeros(1, 7, 3)})
    assert torch.equal(run(transformer, given), pruned)


def test_without_a_layout_all_is_kept_and_said(transformer: Any) -> None:
    given = inputs()
    stock = run(transformer, given)
    with pytest.warns(EnableWarning, match="no layout was given"):
        lipar.enable(transformer)
    assert torch.equal(run(transformer, given), stock)


def test_a_noise_source_that_needs_frames_before_the_block_is_refused(transformer: Any) -> None:
    before = object_graph(transformer)
    said = (
        "noise 'step-shift' needs a KV cache of the frames before the block, which lipar.enable on this "
        "WanTransformer3DModel does not give; a noise that runs there: filtering, noisy-chain"
    )
    with pytest.raises(lipar.ConfigError, match=said):
        lipar.enable(transformer, Config(noise=PartConfig("step-shift")), layout=some_layout())
    assert object_graph(transformer) == before


@pytest.mark.parametrize("saving", [{"merging": "tome"}, {"reuse": "step-skip"}])
def test_parts_that_know_the_steps_of_a_block_are_refused(transformer: Any, saving: Any) -> None:
    before = object_graph(transformer)
    ((kind, name),) = saving.items()
    with pytest.raises(
        lipar.ConfigError, match=f"{kind} '{name}' works in models that lipar runs block by block"
    ):
        lipar.enable(transformer, saving, layout=some_layout())
    assert object_graph(transformer) == before


def test_a_layout_that_prunes_its_first_frame_is_refused(transformer: Any) -> None:
    before = object_graph(transformer)
    with pytest.raises(ValueError, match="nothing to be restored from"):
        lipar.enable(transformer, layout=TokenLayout(torch.zeros(GRID, dtype=torch.bool)))
    assert object_graph(transformer) == before


def test_unknown_objects_are_told_what_is_supported(transformer: Any) -> None:
    supported = r"supported: .*diffusers\.WanTransformer3DModel"
    with pytest.raises(TypeError, match=f"cannot prune a Linear; {supported}"):
        lipar.enable(torch.nn.Linear(1, 1), layout=some_layout())


def test_a_transformer_that_lipar_drives_is_left_to_it(transformer: Any) -> None:
    from lipar_adapters.wan.causal import CausalWan
    from lipar_adapters.wan.run_settings import RunSettings

    model = CausalWan(transformer, RunSettings())
    with pytest.raises(ValueError, match="already pruned by lipar"):
        lipar.enable(transformer, layout=some_layout())
    lipar.disable(transformer)
    assert transformer.blocks[0].attn1.processor.seam is model.seam


def test_replaced_self_attention_is_refused(transformer: Any) -> None:
    class OtherProcessor:
        pass

    transformer.blocks[1].attn1.set_processor(OtherProcessor())
    before = object_graph(transformer)
    with pytest.raises(TypeError, match="self-attention of layer 1 has the processor OtherProcessor"):
        lipar.enable(transformer, layout=some_layout())
    assert object_graph(transformer) == before


def test_training_with_checkpoints_is_refused_and_inference_is_not(transformer: Any) -> None:
    transformer.enable_gradient_checkpointing()
    lipar.enable(transformer, layout=some_layout())
    with pytest.raises(RuntimeError, match="lipar prunes inference"):
        transformer(**inputs())
    assert run(transformer, inputs()).isfinite().all()


def test_a_pruned_forward_with_gradients_is_refused_before_it_begins(transformer: Any) -> None:
    lipar.enable(transformer, layout=some_layout())
    with pytest.raises(RuntimeError, match=r"a pruned forward has no backward.*torch\.no_grad"):
        transformer(**inputs())
    transformer.requires_grad_(False)
    frozen = transformer(**inputs()).sample  # nothing asks for a gradient, so nothing is lost
    assert torch.equal(frozen, run(transformer, inputs()))
    for learnt in ("hidden_states", "encoder_hidden_states"):
        given = inputs()
        given[learnt].requires_grad_()
        with pytest.raises(RuntimeError, match="a pruned forward has no backward"):
            transformer(**given)


def test_gradients_of_a_forward_that_keeps_all_are_the_stock_models(transformer: Any) -> None:
    def gradients() -> list[torch.Tensor]:
        transformer.zero_grad()
        transformer(**inputs()).sample.square().mean().backward()
        return [parameter.grad.clone() for parameter in transformer.parameters()]

    stock = gradients()
    lipar.enable(transformer, layout=TokenLayout.keep_all(GRID))
    assert all(map(torch.equal, gradients(), stock))


def test_inference_mode_gives_the_same(transformer: Any) -> None:
    lipar.enable(transformer, layout=some_layout())
    expected = run(transformer, inputs())
    with torch.inference_mode():
        assert torch.equal(transformer(**inputs()).sample, expected)


def test_the_summary_says_what_was_computed(transformer: Any) -> None:
    assert str(lipar.summary(transformer)) == "WanTransformer3DModel: lipar is off"
    layout = some_layout()
    lipar.enable(transformer, layout=layout)
    assert str(lipar.summary(transformer)).endswith("lipar is on (m-degree, filtering, copy), no forward yet")
    run(transformer, inputs())
    run(transformer, inputs())
    found = lipar.summary(transformer)
    assert (found.forwards, found.kept_tokens, found.all_tokens) == (2, 2 * layout.kept_count, 2 * TOKENS)
    assert f"2 forwards computed {2 * layout.kept_count} of 90 tokens" in str(found)
    lipar.disable(transformer)
    assert not lipar.summary(transformer).enabled


def test_compiled_layers_are_pruned_alike(transformer: Any) -> None:
    given = inputs()
    lipar.enable(transformer, layout=some_layout())
    expected = run(transformer, given)
    try:
        for block in transformer.blocks:
            block.compile(backend="eager")
        assert torch.equal(run(transformer, given), expected)
    finally:
        torch._dynamo.reset()


def test_a_mask_is_no_layout_yet() -> None:
    with pytest.raises(TypeError, match=r"got Tensor: .* becomes one by lipar\.TokenLayout"):
        _checked_layout(torch.ones(3, 2, 3, dtype=torch.bool))


def test_the_example_in_the_docstring_runs() -> None:
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    (example,) = finder.find(lipar.enable, "lipar.enable", globs={})
    assert len(example.examples) > 5
    assert runner.run(example).failed == 0
