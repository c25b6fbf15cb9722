"""A checkpoint of training gives back weights, their average, the optimiser and the state."""

from pathlib import Path

import torch
from torch import nn

from lipar_adapters.tiny.recipe.checkpoint import load_checkpoint, named, save_checkpoint


def trained(seed: int) -> tuple[dict[str, nn.Module], dict[str, torch.Tensor], torch.optim.Optimizer]:
    torch.manual_seed(seed)
    modules: dict[str, nn.Module] = {"one": nn.Linear(3, 2), "two": nn.Linear(2, 1)}
    optimizer = torch.optim.AdamW(named(modules).values(), lr=0.1)
    modules["two"](modules["one"](torch.ones(1, 3))).sum().backward()
    optimizer.step()
    return modules, {name: torch.randn_like(p) for name, p in named(modules).items()}, optimizer


def test_what_is_saved_comes_back_in_place(tmp_path: Path) -> None:
    modules, average, optimizer = trained(0)
    save_checkpoint(tmp_path / "at", modules, average, optimizer, {"step": 1, "seconds": 2.5})
    others, other_average, other_optimizer = trained(1)
    state = load_checkpoint(tmp_path / "at", others, other_average, other_optimizer)
    assert (state["step"], state["seconds"]) == (1, 2.5)
    for name, parameter in named(modules).items():
        other = named(others)[name]
        assert torch.equal(parameter, other) and torch.equal(average[name], other_average[name])
        for moment in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(optimizer.state[parameter][moment], other_optimizer.state[other][moment])


def test_a_second_checkpoint_replaces_the_first(tmp_path: Path) -> None:
    modules, average, optimizer = trained(0)
    for step in (1, 2):
        save_checkpoint(tmp_path / "at", modules, average, optimizer, {"step": step})
    assert load_checkpoint(tmp_path / "at", modules, average, optimizer)["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["at"]
