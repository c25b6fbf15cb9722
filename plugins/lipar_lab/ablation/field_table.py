"""The table that papers on fast video diffusion print: speed-up, similarity to dense, VBench."""

from collections.abc import Mapping, Sequence

from lipar_lab.ablation.metric_table import label
from lipar_lab.ablation.plan import Cell, Plan
from lipar_lab.ablation.statistics import Line, median_interval, time_ratios
from lipar_lab.ablation.tables import Cells, mean, select
from lipar_lab.ablation.vbench import dimensions
from lipar_lab.ablation.videos import group

PRINTED = ("psnr", "ssim", "lpips")


def field_table(
    plan: Plan,
    cells: Sequence[Line],
    times: Sequence[Line],
    vbench: Mapping[str, Mapping[str, float]],
) -> tuple[Cells, tuple[Cells, ...]]:
    """One row for each row and kept fraction.

    Args:
        plan: what was run.
        cells: lines of the record.
        times: likewise, of the kind `time`.
        vbench: means of VBench's dimensions by folder of videos.
    """
    names, rated = [name for name in PRINTED if name in plan.metrics], dimensions(vbench)
    ratios = time_ratios(plan, times)
    body = []
    for kept in plan.kept:
        for row in plan.rows_at(kept):
            own = select(cells, row=row.name, kept=kept)
            at = Cell(0, plan.strengths[0], plan.seeds[0], kept, row.name)
            found = vbench.get(group(plan, row, at), {})
            body.append(
                (
                    f"`{row.name}`",
                    mean(own, "tokens_kept", 2),
                    f"{1 / median_interval(ratios[row.name, kept]).median:.2f}x"
                    if (row.name, kept) in ratios
                    else "",
                    *(
                        mean(own, name, 3) or ("equal" if own and row.name == row.dense else "")
                        for name in names
                    ),
                    *(f"{100 * found[name]:.2f}" if name in found else "" for name in rated),
                )
            )
    head = ("row", "tokens kept", "speed-up", *map(label, names), *(f"VBench {name}, %" for name in rated))
    return head, tuple(body)
