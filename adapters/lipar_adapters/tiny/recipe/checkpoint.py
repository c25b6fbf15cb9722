"""Training state on disk: safetensors files, written to a new folder that then takes the old one's place."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def named(modules: dict[str, nn.Module]) -> dict[str, nn.Parameter]:
    """Parameters of several modules by name, each under the name of its module."""
    return {
        f"{prefix}.{name}": p for prefix, module in modules.items() for name, p in module.named_parameters()
    }


def moments(
    optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], key: str
) -> dict[str, Tensor]:
    """One of Adam's moments (`exp_avg` or `exp_avg_sq`) by parameter name; parameters without a step are left out."""
    return {name: optimizer.state[p][key] for name, p in parameters.items() if key in optimizer.state[p]}


def save_checkpoint(
    folder: Path,
    modules: dict[str, nn.Module],
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    """Write weights, their running average, Adam's moments and a JSON state; a broken write leaves the old folder."""
    parameters = named(modules)
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    files = {
        "weights": {name: p.data for name, p in parameters.items()},
        "average": average,
        "first_moment": moments(optimizer, parameters, "exp_avg"),
        "second_moment": moments(optimizer, parameters, "exp_avg_sq"),
    }
    for name, tensors in files.items():
        save_file(
            {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
            fresh / f"{name}.safetensors",
        )
    (fresh / "state.json").write_text(json.dumps(state))
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def load_checkpoint(
    folder: Path, modules: dict[str, nn.Module], average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote, in place; returns the JSON state."""
    parameters = named(modules)
    state = json.loads((folder / "state.json").read_text())
    files = {
        name: load_file(folder / f"{name}.safetensors")
        for name in ("weights", "average", "first_moment", "second_moment")
    }
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(files["weights"][name])
            average[name].copy_(files["average"][name])
            optimizer.state[p] = {
                "step": torch.tensor(
                    float(state["step"]), device=p.device if optimizer.defaults.get("fused") else "cpu"
                ),
                "exp_avg": files["first_moment"][name].to(p.device),
                "exp_avg_sq": files["second_moment"][name].to(p.device),
            }
    return state
