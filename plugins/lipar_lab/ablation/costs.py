"""What a row costs besides time: floating-point operations and the peak of memory of one block in steady state."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch.utils.flop_counter import FlopCounterMode

from lipar.scheduler import Scheduler
from lipar_lab.ablation.peak_memory import PeakMemory
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.prepared_clip import PreparedClip
from lipar_lab.ablation.rows import Row


def attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Operations of attention whose tensors have these shapes, `b heads n head_dim`: two matrix products.

    Args:
        query: shape of the queries.
        key: shape of the keys.
        value: shape of the values.
    """
    b, heads, n, width = query
    return int(2 * b * heads * n * key[2] * (width + value[3]))


@contextmanager
def counted_flops() -> Iterator[FlopCounterMode]:
    """Counts multiplications and additions of everything that runs inside, attention on a CPU included."""
    # torch 2.13 counts the attention of GPUs only
    on_cpu = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops}
    with FlopCounterMode(display=False, custom_mapping=on_cpu) as counter:
        yield counter


def rows_without_costs(plan: Plan, lines: Collection[dict[str, Any]]) -> list[tuple[Row, float]]:
    """Rows and fractions whose cost is not among these lines of the record."""
    known = {(line["row"], line["kept"]) for line in lines}
    wanted = [(row, kept) for kept in plan.kept for row in plan.rows_at(kept)] if plan.timing.costs else []
    return [(row, kept) for row, kept in wanted if (row.name, kept) not in known]


def costs(plan: Plan, loaded: LoadedModel, wanted: Collection[tuple[Row, float]]) -> Iterator[dict[str, Any]]:
    """Operations and peak memory of rows, over the last block of the first clip at the middle strength.

    Args:
        plan: what the ablation runs.
        loaded: the model to run.
        wanted: rows and kept fractions.

    Yields:
        Lines of the record.
    """
    if not wanted:
        return
    prepared = PreparedClip.make(plan, loaded, 0)
    loaded.model.set_prompt(prepared.clip.prompt)
    strength = plan.strengths[len(plan.strengths) // 2]
    for row, kept in wanted:
        cell = Cell(0, strength, plan.seeds[0], kept, row.name)
        yield {
            "what": "cost",
            **attrs.asdict(cell),
            **plan.identity(row, kept),
            "flops": _flops(prepared, row, cell),
            "peak_bytes": _peak(prepared, row, cell),
        }


def _flops(prepared: PreparedClip, row: Row, cell: Cell) -> int:
    """Operations of all blocks after the first, whose mean kept fraction is the wanted one."""
    with prepared.scheduled(row, cell) as scheduler:
        blocks = scheduler.run([prepared.piece])
        next(blocks)
        with counted_flops() as counter:
            for _ in blocks:
                pass
    return int(counter.get_total_flops())


def _peak(prepared: PreparedClip, row: Row, cell: Cell) -> int:
    model = prepared.loaded.model
    with prepared.scheduled(row, cell) as scheduler:
        blocks = scheduler.run([prepared.piece])
        for _ in range(prepared.source.shape[1] // model.block_frames - 1):
            next(blocks)
        with PeakMemory(model.device, _held(scheduler)) as memory:
            next(blocks)
    return memory.peak


def _held(scheduler: Scheduler) -> list[object]:
    return [scheduler.model, scheduler.job.cache, scheduler.job.parts]
