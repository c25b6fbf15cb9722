"""The cells of one clip: every row compared with the dense run."""

from collections.abc import Collection, Iterator
from typing import Any

import attrs

from lipar_lab.ablation.figures import figures
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.prepared_clip import PreparedClip, Run
from lipar_lab.ablation.rows import Row


def clip_cells(
    plan: Plan, loaded: LoadedModel, index: int, strength: float, wanted: Collection[Cell]
) -> Iterator[dict[str, Any]]:
    """Measure the wanted cells of one clip at one strength, each yielded as soon as it is done.

    Args:
        plan: what the ablation runs.
        loaded: the model to run.
        index: number of the clip in the plan.
        strength: strength of the edit.
        wanted: cells of this clip and strength.

    Yields:
        Lines of the record, in the order of `Plan.cells`.
    """
    prepared = PreparedClip.make(plan, loaded, index, sorted({cell.kept for cell in wanted}))
    loaded.model.set_prompt(prepared.clip.prompt)
    unpruned: dict[str, Run] = {}

    def unpruned_run(row: Row) -> Run:
        """The run of a row that prunes nothing, which is the same at every kept fraction."""
        if row.name not in unpruned:
            unpruned[row.name] = prepared.run(row, strength, None)
        return unpruned[row.name]

    rows = {row.name: row for row in plan.rows}
    baseline = prepared.baseline(unpruned_run(rows["dense"]))
    for cell in plan.cells():
        if cell not in wanted:
            continue
        row = rows[cell.row]
        keep_mask = prepared.mask(row, cell.kept)
        run = unpruned_run(row) if keep_mask is None else prepared.run(row, strength, keep_mask)
        compared = prepared.masks[cell.kept].keep_mask if keep_mask is None else keep_mask
        of_latents, of_pixels = prepared.masks_of(compared, run.latents.device)
        yield {
            **_line(prepared, row, cell),
            "noise_bytes": run.noise_bytes if row.how in ("strategy", "random") else 0,
            **figures(run.latents, run.pixels, baseline, of_latents, of_pixels),
        }


def _line(prepared: PreparedClip, row: Row, cell: Cell) -> dict[str, Any]:
    """The part of a record's line that says what was run."""
    clip, rated = prepared.clip, prepared.masks[cell.kept]
    return {
        "what": "cell",
        **attrs.asdict(cell),
        "settings": list(row.settings),
        "name": clip.name,
        "kind": clip.kind,
        "prompt": clip.prompt,
        "kept_real": rated.kept,
        "tau_factor": rated.factor,
        "kept_at_own_thresholds": prepared.natural_kept,
    }
