"""How far donors are from the tokens they replace, and how much attention they get.

The dense run gives, for every place that the rows prune, its key and value and the share of the kept queries' attention
on it. Each row is then recorded at the same blocks, steps and layers. The inputs of the two runs are identical only at
the first layer and step of the first pruned block; later, each run continues from its own results.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import attrs
from torch import Tensor

from lipar.config import Config
from lipar.types import KeepMask
from lipar_lab.ablation.ceiling import FreshNoise
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.prepared_clip import PreparedClip, plugged
from lipar_lab.ablation.rows import Row
from lipar_lab.ablation.watching import LayerPass, Seen, Watcher, WatchPasses, record_donors


def watched_run(prepared: PreparedClip, row: Row, cell: Cell, keep_mask: KeepMask) -> Watcher:
    """Run a row and record every denoise pass of its pruned blocks.

    Args:
        prepared: the clip; the model must have its prompt already.
        row: the row to run.
        cell: kept fraction, strength and seed.
        keep_mask: mask of the whole clip; for the dense row, the places that it prunes are recorded.
    """
    watcher = Watcher()
    with prepared.scheduled(row, cell) as scheduler:
        manager = prepared.loaded.host.manager
        ceilings = [plugin for plugin in manager.get_plugins() if isinstance(plugin, FreshNoise)]
        for ceiling in ceilings:
            ceiling.watch = watcher.watch
        watching = WatchPasses(watcher=watcher, keep_mask=keep_mask if row.how == "dense" else None)
        record_donors(scheduler, watcher)
        with plugged(prepared.loaded.host, *([] if ceilings else [watching])):
            for _ in scheduler.run([prepared.piece]):
                pass
    return watcher


def compare_layer_pass(donor: Seen, dense: Seen) -> dict[str, float]:
    """Distances of donors from the dense keys and values, as fractions of the mean dense norm; attention shares.

    Returns:
        `offset_k` and `offset_v`: distance of the means over places. `error_k` and `error_v`: mean distance of single
        places. `mass` and `mass_dense`: attention on the pruned places in both runs.
    """

    def distances(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
        ours, theirs = ours.flatten(2).float(), theirs.flatten(2).float()
        norm = float(theirs.norm(dim=-1).mean())
        difference = ours - theirs
        offset = float(difference.mean(dim=1).norm(dim=-1).mean())
        return offset / norm, float(difference.norm(dim=-1).mean()) / norm

    offset_k, error_k = distances(donor.k, dense.k)
    offset_v, error_v = distances(donor.v, dense.v)
    return {
        "offset_k": offset_k,
        "offset_v": offset_v,
        "error_k": error_k,
        "error_v": error_v,
        "mass": donor.mass,
        "mass_dense": dense.mass,
    }


def can_be_watched(row: Row, config: Config) -> bool:
    """Whether every pruned place has a donor and a row in the context, so that both can be compared with dense."""
    if row.how == "strategy":
        return config.recovery.name == "m-degree" and not config.recovery.options
    return row.how.startswith("ceiling")


def clip_mechanism(plan: Plan, loaded: LoadedModel, index: int) -> Iterator[dict[str, Any]]:
    """Mean figures of each layer for each row that can be recorded, at the middle kept fraction and strength.

    Args:
        plan: what the ablation runs.
        loaded: the model to run.
        index: number of the clip in the plan.

    Yields:
        Lines of the record.
    """
    kept = plan.kept[len(plan.kept) // 2]
    strength = plan.strengths[len(plan.strengths) // 2]
    prepared = PreparedClip.make(plan, loaded, index)
    loaded.model.set_prompt(prepared.clip.prompt)
    dense: dict[tuple[str, tuple[str, ...]], dict[LayerPass, Seen]] = {}
    for row in plan.rows_at(kept):
        cell = Cell(index, strength, plan.seeds[0], kept, row.name)
        if not can_be_watched(row, plan.config(row, cell)):
            continue
        keep_mask = prepared.masks(row).at(kept).keep_mask
        if (row.dense, row.of_axes) not in dense:
            watcher = watched_run(prepared, plan.row(row.dense), cell, keep_mask)
            dense[row.dense, row.of_axes] = watcher.seen
        seen = watched_run(prepared, row, cell, keep_mask).seen
        by_layer = defaultdict(list)
        for key, donor in seen.items():
            by_layer[key[2]].append(compare_layer_pass(donor, dense[row.dense, row.of_axes][key]))
        for layer_idx, passes in sorted(by_layer.items()):
            means = {key: sum(found[key] for found in passes) / len(passes) for key in passes[0]}
            yield {
                "what": "mechanism",
                **attrs.asdict(cell),
                **plan.identity(row, kept),
                "layer": layer_idx,
                **means,
            }
