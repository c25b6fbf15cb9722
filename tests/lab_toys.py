"""Small runs of the laboratory for its tests: `lipar bench` on a toy shape, an ablation on a toy model."""

import json
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
from lipar_lab.ablation.plan import LoadedModel, Plan
from lipar_lab.ablation.rows import Row, chosen_rows, row_config
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


def toy_plan(*names: str, extra: tuple[Row, ...] = (), **changes: Any) -> Plan:
    """A plan of two clips, half of the tokens kept, with these rows; `changes` are fields, or `settings`."""
    settings = changes.pop("settings", ())
    rows = chosen_rows(names, extra)
    plan = Plan(
        base=build_config(settings=settings),
        rows=rows,
        configs={row.name: row_config(row, settings=settings) for row in rows},
        clips=ClipSource(count=2, pixel_frames=36, size=64),
        kept=(0.5,),
        strengths=(0.4,),
    )
    return attrs.evolve(plan, **changes)


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
    """The cells of the first clip by row."""
    cells = [cell for cell in plan.cells() if cell.clip == 0]
    lines = clip_cells(plan, loaded or toy_loaded(), 0, plan.strengths[0], cells)
    return {line["row"]: line for line in lines}
