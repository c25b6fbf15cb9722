"""How far donors are from the tokens they replace, and how much attention they get.

The dense run gives, for every place that the rows prune, its key and value and the share of the kept queries' attention
on it. Each row is then recorded at the same blocks, steps and layers. The inputs of the two runs are identical only at
the first layer and step of the first pruned block; later, each run continues from its own results.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from lipar.config import Config
from lipar.scheduler import Scheduler
from lipar.types import KeepMask
from lipar_lab.ablation.ceiling import FreshNoise
from lipar_lab.ablation.plan import LoadedModel, Plan
from lipar_lab.ablation.prepared_clip import PreparedClip, plugged
from lipar_lab.ablation.rows import Row
from lipar_lab.ablation.watching import Seen, Watcher, WatchPasses, record_donors


def watched_run(prepared: PreparedClip, row: Row, strength: float, keep_mask: KeepMask) -> Watcher:
    """Run a row and record every denoise pass of its pruned blocks.

    Args:
        prepared: the clip; the model must have its prompt already.
        row: the row to run; for the dense row, the places that the mask prunes are recorded.
        strength: strength of the edit.
        keep_mask: mask of the whole clip.
    """
    watcher = Watcher()
    config, dense = prepared.plan.config(row, strength), row.how == "dense"
    plugins = prepared.plugins(row, config, None if dense else keep_mask)
    ceilings = [plugin for plugin in plugins if isinstance(plugin, FreshNoise)]
    for ceiling in ceilings:
        ceiling.watch = watcher.watch
    if not ceilings:
        plugins.append(WatchPasses(watcher=watcher, keep_mask=keep_mask if dense else None))
    with plugged(prepared.loaded.host, *plugins):
        scheduler = Scheduler(prepared.loaded.model, config, host=prepared.loaded.host, dense=dense)
        record_donors(scheduler, watcher)
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
    prepared = PreparedClip.make(plan, loaded, index, [kept])
    loaded.model.set_prompt(prepared.clip.prompt)
    keep_mask = prepared.masks[kept].keep_mask
    dense_row = next(row for row in plan.rows if row.how == "dense")
    dense = watched_run(prepared, dense_row, strength, keep_mask).seen
    for row in plan.rows:
        if not can_be_watched(row, plan.configs[row.name]):
            continue
        seen = watched_run(prepared, row, strength, keep_mask).seen
        by_layer = defaultdict(list)
        for key, donor in seen.items():
            by_layer[key[2]].append(compare_layer_pass(donor, dense[key]))
        for layer_idx, passes in sorted(by_layer.items()):
            means = {key: sum(found[key] for found in passes) / len(passes) for key in passes[0]}
            yield {
                "what": "mechanism",
                "clip": index,
                "row": row.name,
                "settings": list(row.settings),
                "kept": kept,
                "strength": strength,
                "layer": layer_idx,
                **means,
            }
