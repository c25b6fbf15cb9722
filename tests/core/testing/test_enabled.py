"""The laws of an enabled transformer hold for the families in the box, and find what is wrong."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lipar.enabling.session import Session
from lipar.hookspecs import hookimpl
from lipar.plugin.host import load_plugins
from lipar.testing import enabled
from lipar.testing.enabled import EnabledLaw, TransformerCase, enabled_laws

GRID = (3, 2, 3)


def ltx_case(**changes: Any) -> TransformerCase:
    import ltx_toys

    def forward(transformer: Any, noisy: Tensor, timestep: float) -> Tensor:
        return ltx_toys.forward(transformer, GRID, hidden_states=noisy, timestep=timestep)

    return TransformerCase(
        **{"make": ltx_toys.toy_transformer, "forward": forward, "grid": GRID, "features": 8} | changes
    )


def wan_case() -> TransformerCase:
    from wan_toys import toy_prompt, toy_transformer

    from lipar_adapters.wan.output_tokens import latents_of_tokens, output_tokens

    def forward(transformer: Any, noisy: Tensor, timestep: float) -> Tensor:
        latents = latents_of_tokens(noisy, GRID, patch=(1, 2, 2)).transpose(1, 2)
        prompt = toy_prompt()["prompt_embeds"]
        velocity = transformer(latents, torch.tensor([timestep]), prompt, return_dict=False)[0]
        return output_tokens(velocity, (1, 2, 2))

    return TransformerCase(make=toy_transformer, forward=forward, grid=GRID, features=64)


CASES = {"wan": wan_case, "ltx": ltx_case}


@pytest.mark.parametrize("law", enabled_laws())
@pytest.mark.parametrize("family", CASES)
def test_the_families_in_the_box_keep_the_laws(family: str, law: EnabledLaw) -> None:
    law(CASES[family]())


def test_every_function_of_a_case_is_a_law() -> None:
    laws = [
        value
        for name, value in vars(enabled).items()
        if getattr(value, "__annotations__", {}).get("case") is TransformerCase and not name.startswith("_")
    ]
    assert laws == enabled_laws()


def broken_host(**changes: Any) -> Any:
    """Plugins whose target of LTX has some methods replaced."""
    from lipar_adapters.ltx.target import LtxTarget

    class Broken:
        @hookimpl
        def lipar_register_targets(self, registry: Any) -> None:
            registry.add("broken", type("Broken", (LtxTarget,), changes))

    return load_plugins(Broken(), disabled=["adapters"])


def forgets_processors(self: Any, target: Any) -> None:
    from lipar_adapters.stock.seam import seam_of

    seam = seam_of(target)
    if seam is not None:
        for handle in (*seam._root_handles, *seam._handles):
            handle.remove()


def rounds(self: Any, target: Any, session: Session) -> None:
    from lipar_adapters.stock.target import StockTarget

    StockTarget.attach(self, target, session)
    target.proj_out.register_forward_hook(lambda module, args, output: output.bfloat16().float())


@pytest.mark.parametrize(
    ("method", "law"),
    [
        ({"detach": forgets_processors}, enabled.disable_leaves_the_stock_model),
        ({"detach": lambda self, target: None}, enabled.a_failed_forward_leaves_no_trace),
        ({"attach": rounds}, enabled.keep_all_is_the_stock_forward_bit_for_bit),
        ({"attach": rounds}, enabled.a_layout_is_honoured),
    ],
)
def test_a_broken_target_is_found(method: dict[str, Any], law: EnabledLaw) -> None:
    case = ltx_case(host=broken_host(**method))
    with pytest.raises(AssertionError):
        law(case)
