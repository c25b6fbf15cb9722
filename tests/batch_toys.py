"""Clips of a batch, edited by a toy model."""

from collections.abc import Sequence
from pathlib import Path

import attrs

from lipar.batch.models import GivenModel
from lipar.batch.plain import run_here
from lipar.batch.recipe import Outcome, Recipe
from lipar.batch.rows import ClipRow
from lipar.batch.worker import ClipWorker
from lipar.config import Config, build_config
from lipar.events import EditOptions
from lipar.plugin.host import load_plugins
from lipar.prompts import PromptSchedule
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import write_synthetic_clip

OPTIONS = EditOptions(prompt="", output=Path(), resolution=(32, 32))
RECIPE = Recipe(options=OPTIONS)


def toy_model(**options: object) -> ToyModel:
    return ToyModel(autoencoder=ToyAutoencoder(), **options)


def small_clips(folder: Path, names: str, frames: int = 14) -> list[Path]:
    """A clip for each letter."""
    return [
        write_synthetic_clip(folder / f"{name}.mp4", frames=frames, width=32, height=32, seed=ord(name))
        for name in names
    ]


def rows_of(
    clips: Sequence[Path], folder: Path, *, config: Config | None = None, prompts: Sequence[str] = ("night",)
) -> list[ClipRow]:
    """The results have the names of the clips."""
    folder.mkdir(exist_ok=True)
    schedule = PromptSchedule.parse(prompts)
    return [
        ClipRow(source=clip, output=folder / clip.name, prompts=schedule, config=config or build_config())
        for clip in clips
    ]


def worker_of(recipe: Recipe = RECIPE, model: ToyModel | None = None, **changed: object) -> ClipWorker:
    return ClipWorker(
        attrs.evolve(recipe, **changed), host=load_plugins(), models=GivenModel(model or toy_model())
    )


def run_rows(rows: Sequence[ClipRow], worker: ClipWorker | None = None) -> list[Outcome]:
    return list(run_here(worker or worker_of(), rows))


def states(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]
