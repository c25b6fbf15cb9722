"""Laws of `lipar.enable` on the transformers of one family, for whoever teaches it another family.

A `TransformerCase` says how to make a small transformer and how to call it. Each law takes a case:

    from lipar.testing.enabled import TransformerCase, enabled_laws

    CASE = TransformerCase(make=toy_transformer, forward=forward, grid=(3, 2, 3), features=8)


    @pytest.mark.parametrize("law", enabled_laws())
    def test_a_transformer_keeps_the_laws(law):
        law(CASE)

What a target says of itself, without a model, is in the contract of its kind (`lipar.testing.contracts`).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
import torch
from torch import Tensor, nn

from lipar.enabling.enable import disable, enable
from lipar.enabling.summary import summary
from lipar.enabling.target import target_for
from lipar.layout import TokenLayout
from lipar.plugin.compatibility import needs_of
from lipar.plugin.host import PluginHost, load_plugins
from lipar.testing.closeness import assert_near
from lipar.types import Latents

RESTORED = 1e-4
"""Largest difference of a pruned token's clean values from those that it repeats, in deviations, in float32."""


@attrs.frozen(kw_only=True)
class TransformerCase:
    """A family's transformer, as the laws call it."""

    make: Callable[[], nn.Module]
    """Makes a small stock transformer in float32, equal in every call: at least two layers, in eval mode."""
    forward: Callable[[Any, Tensor, float], Tensor]
    """Calls a transformer as its users do. Takes noisy latents as tokens `1 places features`, in the order of the
    model's output, and the timestep, 0 to 1000; gives the velocities, likewise. Text and the rest are the case's."""
    grid: tuple[int, int, int]
    """Frames, rows and columns of the tokens that `forward` takes; at least two frames."""
    features: int
    """Values of a token."""
    host: PluginHost = attrs.field(factory=load_plugins)
    """The plugins; one of them registers the target."""

    def noisy(self, seed: int = 0) -> Tensor:
        """Noisy tokens of a clip, `1 places features`."""
        frames, rows, cols = self.grid
        return torch.randn(
            1, frames * rows * cols, self.features, generator=torch.Generator().manual_seed(seed)
        )

    def layout(self, seed: int = 0) -> TokenLayout:
        """A random layout that keeps the first frame in full, and prunes at least one token."""
        keep_mask = torch.rand(self.grid, generator=torch.Generator().manual_seed(seed)) < 0.5
        keep_mask[0], keep_mask[-1, -1, -1] = True, False
        return TokenLayout(keep_mask, has_history=False)

    def keep_all(self) -> TokenLayout:
        """The layout of the stock model."""
        return TokenLayout.keep_all(self.grid, has_history=False)

    def run(self, transformer: Any, noisy: Tensor, timestep: float = 600.0) -> Tensor:
        """A forward for inference."""
        with torch.no_grad():
            return self.forward(transformer, noisy, timestep)


EnabledLaw: TypeAlias = Callable[[TransformerCase], None]


def keep_all_is_the_stock_forward_bit_for_bit(case: TransformerCase) -> None:
    """The enabled model computes what the stock one does, at several noise levels, and counts every token."""
    transformer = case.make()
    stock = [case.run(transformer, case.noisy(), level) for level in (900.0, 400.0)]
    enable(transformer, layout=case.keep_all(), host=case.host)
    found = [case.run(transformer, case.noisy(), level) for level in (900.0, 400.0)]
    assert all(map(torch.equal, found, stock))
    counted = summary(transformer, host=case.host)
    assert (counted.forwards, counted.kept_tokens) == (2, 2 * case.keep_all().token_count)


def a_layout_is_honoured(case: TransformerCase) -> None:
    """Pruned tokens are not read, they arrive at the clean values of those that they repeat, and they are counted."""
    transformer, layout, noisy = case.make(), case.layout(), case.noisy()
    enable(transformer, layout=layout, host=case.host)
    velocity = case.run(transformer, noisy, 600.0)
    clean = noisy - 0.6 * velocity
    assert_near(clean, layout.fill(None, layout.prune(clean)), RESTORED)
    counted = summary(transformer, host=case.host)
    assert (counted.kept_tokens, counted.all_tokens) == (layout.kept_count, layout.token_count)
    noisy[:, layout.pruned] = 7.0
    assert torch.equal(layout.prune(case.run(transformer, noisy, 600.0)), layout.prune(velocity))


def kept_tokens_attend_to_all_places(case: TransformerCase) -> None:
    """Copies of a kept token stand in for the pruned ones: without them (`none`) the result is another one."""
    found = []
    for recovery in ("m-degree", "none"):
        transformer = enable(case.make(), layout=case.layout(), recovery=recovery, host=case.host)
        found.append(case.layout().prune(case.run(transformer, case.noisy())))
    assert not torch.equal(*found)


def two_forwards_are_equal(case: TransformerCase) -> None:
    """A forward leaves nothing behind that changes the next one."""
    transformer = enable(case.make(), layout=case.layout(), host=case.host)
    first = case.run(transformer, case.noisy(), 600.0)
    case.run(transformer, case.noisy(1), 300.0)
    assert torch.equal(case.run(transformer, case.noisy(), 600.0), first)


def disable_leaves_the_stock_model(case: TransformerCase) -> None:
    """After `disable`, hooks, attributes and processors are as before `enable`, however often that was called."""
    transformer = case.make()
    stock, before = case.run(transformer, case.noisy()), attached_to(transformer)
    enable(transformer, layout=case.layout(), host=case.host)
    enable(transformer, layout=case.layout(1), host=case.host)
    assert not torch.equal(case.run(transformer, case.noisy()), stock)
    disable(transformer, host=case.host)
    assert attached_to(transformer) == before
    assert torch.equal(case.run(transformer, case.noisy()), stock)
    assert not summary(transformer, host=case.host).enabled
    disable(transformer, host=case.host)


def a_failed_forward_leaves_no_trace(case: TransformerCase) -> None:
    """A layout of another size is refused by the forward, and the model still can be disabled."""
    transformer = case.make()
    stock, before = case.run(transformer, case.noisy()), attached_to(transformer)
    frames, rows, cols = case.grid
    other = TokenLayout.keep_all((frames + 1, rows, cols), has_history=False)
    enable(transformer, layout=other, host=case.host)
    with pytest.raises(ValueError, match="tokens"):
        case.run(transformer, case.noisy())
    disable(transformer, host=case.host)
    assert attached_to(transformer) == before
    assert torch.equal(case.run(transformer, case.noisy()), stock)


def every_part_that_fits_runs(case: TransformerCase) -> None:
    """Recoveries, noise sources and restorers that need no more than the target gives make finite output."""
    transformer = case.make()
    facts = target_for(transformer, case.host).describe(transformer).facts
    for kind in ("recovery", "noise", "restorer"):
        for part in case.host.registries[kind]:
            if part.owner.split()[0] == "lipar" and needs_of(part.part, part.name) <= facts:
                enable(transformer, {kind: part.name}, layout=case.layout(), host=case.host)
                assert case.run(transformer, case.noisy()).isfinite().all(), f"{kind} {part.name}"


def the_models_own_prediction_can_be_measured(case: TransformerCase) -> None:
    """With `full_steps`, latents are read from the tokens of the first steps, and later ones are pruned."""
    # the other refiners would keep every token of a clip of so few
    transformer = enable(case.make(), full_steps=1, keep=0.5, refiners=["threshold"], host=case.host)
    session = target_for(transformer, case.host).session_of(transformer)
    assert session is not None
    latents = session.info.latents_of_tokens(case.noisy(), case.grid)
    assert isinstance(latents, Latents)
    assert session.info.grid(latents) == case.grid
    for level in (900.0, 600.0):
        case.run(transformer, case.noisy(), level)
    counted = summary(transformer, host=case.host)
    assert counted.kept_tokens < counted.all_tokens


def enabled_laws() -> list[EnabledLaw]:
    """All laws of this module."""
    return [
        keep_all_is_the_stock_forward_bit_for_bit,
        a_layout_is_honoured,
        kept_tokens_attend_to_all_places,
        two_forwards_are_equal,
        disable_leaves_the_stock_model,
        a_failed_forward_leaves_no_trace,
        every_part_that_fits_runs,
        the_models_own_prediction_can_be_measured,
    ]


def attached_to(transformer: Any) -> dict[str, Any]:
    """What is attached to a model: attributes and hooks of its modules, and their processors with their attributes."""
    found: dict[str, Any] = {}
    for name, module in transformer.named_modules():
        for key, value in vars(module).items():
            found[f"{name}.{key}"] = list(value.items()) if isinstance(value, dict) else id(value)
        processor = getattr(module, "processor", None)
        if processor is not None:
            found[f"{name}.processor()"] = (id(processor), dict(vars(processor)))
    return found
