"""What is run under context parallelism; the processes of a test import it from here by its name."""

from typing import Any

import torch
from two_processes import parallel
from wan_toys import toy_transformer

import lipar
from lipar import TokenLayout

GRID = (3, 2, 3)
UNEVEN = {"ulysses_degree": 2, "ulysses_anything": True}
RING = {"ring_degree": 2, "ring_anything": True}
EVEN = {"ulysses_degree": 2}
CASES: dict[str, dict[str, Any]] = {
    "stock": {"keep": None, "plan": UNEVEN},
    "every token": {"keep": 18, "plan": UNEVEN},
    "an odd number of tokens": {"keep": 11, "plan": UNEVEN},
    "an even number of tokens": {"keep": 12, "plan": EVEN},
    "ring": {"keep": 11, "plan": RING},
    "timesteps per token": {"keep": 11, "plan": UNEVEN, "per_token": True},
    "fused projections": {"keep": 11, "plan": UNEVEN, "fused": True},
    "recovery": {"keep": 11, "plan": UNEVEN, "settings": {"recovery": "proportional"}},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "too uneven": (
        {"keep": 11, "plan": EVEN},
        "11 kept tokens do not divide by 2 processes; set ulysses_anything",
    ),
    "heads": (
        {"keep": 11, "plan": UNEVEN, "heads": 3},
        "3 heads do not divide by 2 processes",
    ),
}


def forward(
    keep: int | None,
    plan: dict[str, Any] | None,
    per_token: bool = False,
    fused: bool = False,
    heads: int = 2,
    settings: dict[str, Any] | None = None,
) -> torch.Tensor:
    """The output of a toy transformer that keeps so many tokens; None: without lipar."""
    transformer = toy_transformer(num_attention_heads=heads)
    if plan is not None:
        parallel(transformer, **plan)
    if fused:
        transformer.fuse_qkv_projections()
    if keep is not None:
        mask = torch.zeros(GRID, dtype=torch.bool)
        chosen = torch.randperm(12, generator=torch.Generator().manual_seed(0))[: keep - 6] + 6
        mask.view(-1)[torch.cat([torch.arange(6), chosen])] = True
        lipar.enable(transformer, layout=TokenLayout(mask, has_history=False), **(settings or {}))
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(1, 16, GRID[0], 2 * GRID[1], 2 * GRID[2], generator=generator)
    text = torch.randn(1, 8, 64, generator=generator)
    timestep = torch.full((1, 18), 500.0) if per_token else torch.tensor([500.0])
    with torch.no_grad():
        given: torch.Tensor = transformer(
            hidden_states=noisy, timestep=timestep, encoder_hidden_states=text, return_dict=False
        )[0]
    return given


def all_cases() -> dict[str, Any]:
    """In one process: what each case gives, or the text of its error."""
    found: dict[str, Any] = {}
    for name, case in [*CASES.items(), *((name, case) for name, (case, _) in REFUSED.items())]:
        try:
            found[name] = forward(**case)
        except Exception as error:
            found[name] = str(error)
    return found
