"""The cells of one clip: every row compared with its dense run."""

import functools
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import attrs

from lipar.metrics.table import Clips, measure
from lipar.metrics.warp_error import Motion, motion_of_clip
from lipar_lab.ablation.figures import Baseline, figures
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.prepared_clip import PreparedClip, Run
from lipar_lab.ablation.rows import Row
from lipar_lab.ablation.videos import video_path, write_video


@attrs.define(eq=False)
class ClipCells:
    """The cells of one clip at one strength and seed; what rows share is computed once."""

    plan: Plan
    prepared: PreparedClip
    strength: float
    seed: int
    videos: Path | None = None
    """Folder of the ablation, if videos are written."""
    _dense: dict[str, tuple[Run, Baseline]] = attrs.field(factory=dict, init=False)
    _fixed: dict[str, tuple[Run, dict[str, float | None]]] = attrs.field(factory=dict, init=False)
    """Runs of rows that are the same at every kept fraction, with their figures."""

    @functools.cached_property
    def motion(self) -> list[Motion] | None:
        """Motion of the source after the first block, which all rows share; None where no figure needs it."""
        if "warp-error" not in self.plan.metrics:
            return None
        return motion_of_clip(self.prepared.steady(self.prepared.clip.pixels))

    def dense(self, name: str) -> tuple[Run, Baseline]:
        """The dense run of a name, with what rows are compared with."""
        if name not in self._dense:
            run = self._run(self.plan.row(name), self.plan.kept[0])
            self._dense[name] = run, self.prepared.baseline(run)
        return self._dense[name]

    def line(self, cell: Cell) -> dict[str, Any]:
        """Run a cell; its line of the record."""
        row, clip = self.plan.row(cell.row), self.prepared.clip
        run, measured = self._measured(row, cell.kept)
        rated, makers = self.prepared.masks(row).at(cell.kept), self.prepared.masks(row)
        compared = rated.keep_mask if row.how in ("dense", "other-seed", "every-token") else run.keep_mask
        of_latents, of_pixels = self.prepared.masks_of(compared, run.latents.device)
        video = {} if self.videos is None else {"video": self._written(cell, run).as_posix()}
        steady = run.keep_mask[self.prepared.loaded.model.block_frames :]
        return {
            "what": "cell",
            **attrs.asdict(cell),
            **self.plan.identity(row, cell.kept),
            "at": dict(row.at),
            "name": clip.name,
            "kind": clip.kind,
            "prompt": clip.prompt,
            "kept_real": rated.kept,
            "tau_factor": rated.factor,
            "kept_at_own_thresholds": makers.natural_kept,
            "tokens_kept": float(steady.float().mean()),
            "noise_bytes": run.noise_bytes
            if row.how in ("strategy", "own-mask", "every-token", "random")
            else 0,
            **figures(run.latents, run.pixels, self.dense(row.dense)[1], of_latents, of_pixels),
            "metrics": measured,
            **video,
        }

    def _written(self, cell: Cell, run: Run) -> Path:
        """The video of a cell, below the folder of the ablation; written before the cell is recorded."""
        assert self.videos is not None and self.plan.videos is not None
        path = video_path(self.plan, cell, self.prepared.clip.prompt)
        write_video(self.videos / path, run.whole, self.plan.videos.fps)
        return path

    def _measured(self, row: Row, kept: float) -> tuple[Run, dict[str, float | None]]:
        if row.how not in ("dense", "other-seed"):
            return self._compared(row, self._run(row, kept))
        if row.name not in self._fixed:
            same = row.name == row.dense
            self._fixed[row.name] = self._compared(
                row, self.dense(row.name)[0] if same else self._run(row, kept)
            )
        return self._fixed[row.name]

    def _run(self, row: Row, kept: float) -> Run:
        cell = Cell(self.prepared.index, self.strength, self.seed, kept, row.name)
        return self.prepared.run(row, cell)

    def _compared(self, row: Row, run: Run) -> tuple[Run, dict[str, float | None]]:
        """A run with its figures of the table of metrics."""
        dense = self.dense(row.dense)[1]
        _, keep = self.prepared.masks_of(run.keep_mask, run.pixels.device)
        clips = Clips(
            result=run.pixels, dense=dense.pixels, source=dense.source, motion=self.motion, keep=keep
        )
        found = measure(clips, self.plan.metrics, self.prepared.loaded.metrics)
        # JSON knows no infinity, which PSNR has where the clips are equal
        return run, {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in found.items()
        }


def clip_cells(
    plan: Plan,
    loaded: LoadedModel,
    index: int,
    strength: float,
    seed: int,
    wanted: Collection[Cell],
    *,
    folder: Path = Path(),
) -> Iterator[dict[str, Any]]:
    """Measure the wanted cells of one clip at one strength and seed, each yielded as soon as it is done.

    Args:
        plan: what the ablation runs.
        loaded: the model to run.
        index: number of the clip in the plan.
        strength: strength of the edit.
        seed: seed of the noise.
        wanted: cells of this clip, strength and seed.
        folder: of the ablation, for the videos of a plan that has them.

    Yields:
        Lines of the record, in the order of `Plan.cells`.
    """
    prepared = PreparedClip.make(plan, loaded, index)
    loaded.model.set_prompt(prepared.clip.prompt)
    cells = ClipCells(plan, prepared, strength, seed, folder if plan.videos is not None else None)
    for cell in plan.cells():
        if cell in wanted:
            yield cells.line(cell)
