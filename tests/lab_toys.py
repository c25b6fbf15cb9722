"""Small runs of the laboratory for its tests: `lipar bench` on a toy shape, an ablation on a toy model."""

import json
import tomllib
from pathlib import Path
from typing import Any

import attrs
import torch
from click.testing import CliRunner

from lipar.config import build_config
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_lab.ablation.cells import clip_cells
from lipar_lab.ablation.clips import AblationClip, ClipSource
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan, planned
from lipar_lab.ablation.rows import chosen_rows, crossed_rows
from lipar_lab.ablation.suite import Suite, SuiteRow
from lipar_lab.ablation.suite_file import parse_suite, read_suite
from lipar_lab.bench.command import bench


def run_bench(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """The JSON file and the output of `lipar bench`."""
    path = folder / "bench.json"
    outcome = CliRunner().invoke(bench, [*arguments, "--json", str(path)], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return json.loads(path.read_text()), outcome.output


class ToyClips:
    """An adapter whose clips are a square moving over noise."""

    def ablation_clip(self, index: int, *, pixel_frames: int, size: int, photos: Path | None) -> AblationClip:
        """A clip; its exact edit is the negative."""
        generator = torch.Generator().manual_seed(index)
        background = torch.rand(3, size, size, generator=generator)
        pixels = background + 0.01 * torch.rand(pixel_frames, 3, size, size, generator=generator)
        for frame in range(pixel_frames):
            left = frame % (size // 2)
            pixels[frame, :, 8:24, left : left + 16] = 0.9
        pixels = pixels.clamp(0, 1)
        return AblationClip(name=f"toy-{index}", prompt="night", pixels=pixels, target=1 - pixels)


def toy_plan(*names: str, extra: tuple[SuiteRow, ...] = (), **changes: Any) -> Plan:
    """A plan of two clips, half of the tokens kept, with these rows of the suite `recovery`.

    Args:
        names: rows in addition to `dense` and `paper`.
        extra: rows of a test's own.
        changes: fields of the plan or of the suite, or `settings`.
    """
    settings = list(changes.pop("settings", ()))
    fields = {field.name for field in attrs.fields(Suite)}
    of_suite = {name: changes.pop(name) for name in list(changes) if name in fields}
    suite = attrs.evolve(
        chosen_rows(read_suite("recovery"), names, extra), **{"kept": (0.5,), "strengths": (0.4,), **of_suite}
    )
    plan = planned(
        suite,
        crossed_rows(suite),
        settings,
        ClipSource(count=2, pixel_frames=36, size=64),
        base=build_config(settings=settings),
    )
    return attrs.evolve(plan, **changes)


def toy_suite(text: str) -> Suite:
    """A suite from TOML; a title and, as its last row, a dense one are added."""
    table = tomllib.loads(text)
    rows = [*table.pop("rows", []), {"name": "dense", "how": "dense"}]
    return parse_suite({"title": "toy", **table, "rows": rows}, "toy.toml")


def toy_plan_of(suite: Suite) -> Plan:
    """A plan of two small clips from a suite."""
    clips = ClipSource(count=2, pixel_frames=36, size=64)
    return planned(
        suite, crossed_rows(suite), [*suite.settings], clips, base=build_config(settings=suite.settings)
    )


def toy_cell(plan: Plan, row: str, clip: int = 0) -> Cell:
    """The first cell of a row."""
    return next(cell for cell in plan.cells() if (cell.row, cell.clip) == (row, clip))


def toy_loaded() -> LoadedModel:
    """A toy model with its plugins."""
    autoencoder = ToyAutoencoder()
    return LoadedModel(
        adapter=ToyClips(),
        model=ToyModel(autoencoder=autoencoder),
        autoencoder=autoencoder,
        host=load_plugins(),
    )


def run_toy(plan: Plan, loaded: LoadedModel | None = None) -> dict[str, dict[str, Any]]:
    """The cells of the first clip at the first strength and seed, by row."""
    shared = (0, plan.strengths[0], plan.seeds[0])
    cells = [cell for cell in plan.cells() if (cell.clip, cell.strength, cell.seed) == shared]
    return {line["row"]: line for line in clip_cells(plan, loaded or toy_loaded(), *shared, cells)}
