"""The plan: its cells, the configs of its rows, and rows that cannot run."""

import json

import attrs
import pytest
import torch
from lab_toys import toy_cell, toy_plan, toy_suite

from lipar.config import build_config
from lipar.hookspecs import hookimpl
from lipar.plugin.host import load_plugins
from lipar.plugin.registry import Registry
from lipar.testing.toy import ToyModel
from lipar_lab.ablation.plan import LoadedModel, runnable
from lipar_lab.ablation.rows import crossed_rows


def test_a_row_whose_part_is_not_registered_is_said_to_be_so() -> None:
    suite = toy_suite(
        """
        reference = "fine"
        rows = [
            {name = "fine"},
            {name = "no part", settings = ["noise=no-such-source"]},
            {name = "no option", settings = ["noise.speed=3"]},
            {name = "other model", settings = ["adapter=self-forcing"]},
        ]
        """
    )
    rows, reasons = runnable(load_plugins(), suite, crossed_rows(suite), [], build_config())
    assert [row.name for row in rows] == ["fine", "dense"]
    assert "no noise named 'no-such-source'" in reasons["no part"]
    assert "speed" in reasons["no option"]
    assert "rows of one ablation share the model" in reasons["other model"]


def test_cells_are_all_combinations_clip_by_clip() -> None:
    plan = toy_plan("none", kept=(0.7, 0.3), strengths=(0.2, 0.4))
    cells = list(plan.cells())
    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 3
    assert [cell.clip for cell in cells] == sorted(cell.clip for cell in cells)


def test_a_row_has_the_strength_and_other_seed_the_next_seed() -> None:
    plan = toy_plan("other-seed", seeds=(5,), strengths=(0.3,))
    configs = {row.name: plan.config(row, toy_cell(plan, row.name)) for row in plan.rows}
    assert {name: config.seed for name, config in configs.items()} == {
        "dense": 5,
        "other-seed": 6,
        "paper": 5,
    }
    assert all(config.strength == 0.3 for config in configs.values())


def test_the_number_of_clips_may_change_between_runs_and_their_size_may_not() -> None:
    plan = toy_plan()
    more, larger = (
        attrs.evolve(plan, clips=attrs.evolve(plan.clips, **c)) for c in ({"count": 9}, {"size": 32})
    )
    assert more.sameness() == plan.sameness() != larger.sameness()
    json.dumps(plan.sameness())


@attrs.frozen
class Latents:
    """An adapter of a model without an autoencoder, and the plugin that offers it."""

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        return ToyModel()

    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("latents", Latents)


def test_a_model_without_an_autoencoder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipar_lab.ablation.plan.load_plugins", lambda: load_plugins(Latents()))
    with pytest.raises(ValueError, match="no autoencoder"):
        LoadedModel.load(toy_plan(settings=("adapter=latents",)))
