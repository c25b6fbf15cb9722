"""The tables of an ablation: quality of each row, and its difference to the reference row."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.rows import Row
from lipar_lab.ablation.sections import Section
from lipar_lab.ablation.statistics import (
    Interval,
    Line,
    Spread,
    by_clip,
    flop_ratios,
    median_interval,
    paired,
    time_ratios,
)

Cells = tuple[str, ...]


def select(cells: Iterable[Line], **wanted: Any) -> list[Line]:
    """The lines that have these values."""
    return [cell for cell in cells if all(cell[key] == value for key, value in wanted.items())]


def signed(interval: Interval | None, digits: int = 2) -> str:
    """A difference with half its interval; bold where that excludes 0."""
    if interval is None:
        return ""
    half = f" ±{interval.half:.{digits}f}" if interval.count > 1 else ""
    text = f"{interval.mean:+.{digits}f}{half}"
    return f"**{text}**" if interval.excludes_zero else text


def mean(cells: Sequence[Line], figure: str, digits: int = 1) -> str:
    """The mean over clips; empty where no cell has the figure."""
    means = by_clip(cells, figure)
    return f"{statistics.fmean(means.values()):.{digits}f}" if means else ""


def ratio(spread: Spread | None) -> str:
    """A median with its interval; empty where nothing was measured."""
    if spread is None:
        return ""
    return f"{spread.median:.2f}" + (f" ({spread.low:.2f}..{spread.high:.2f})" if spread.count > 1 else "")


def difference(cells: Sequence[Line], row: Row, figure: str, digits: int = 2) -> str:
    """The paired difference of a row to its reference; empty for the reference itself."""
    if row.reference is None or row.name == row.reference:
        return ""
    return signed(paired(cells, row.name, figure, row.reference), digits)


def latent_table(plan: Plan, cells: Sequence[Line], strength: float) -> tuple[Cells, tuple[Cells, ...]]:
    """PSNR of latents on kept tokens by kept fraction: of the reference row, and the difference of every other row."""
    figure = "psnr_latent_kept"
    columns = {kept: select(cells, strength=strength, kept=kept) for kept in plan.kept}
    head = ["row"]
    for kept, found in columns.items():
        real = by_clip(select(found, row=plan.reference) or found, "kept_real").values()
        head.append(
            f"{100 * kept:.0f} % kept" + (f" (real {100 * statistics.fmean(real):.0f})" if real else "")
        )
    body = []
    for row in plan.rows:
        if row.how != "dense" or row.dense != row.name:
            body.append((f"`{row.name}`", *(_near(found, row, figure) for found in columns.values())))
    return tuple(head), tuple(body)


def _near(cells: Sequence[Line], row: Row, figure: str) -> str:
    if row.reference is None or row.name == row.reference:
        value = mean(select(cells, row=row.name), figure)
        return f"{value} dB" if value else ""
    return difference(cells, row, figure)


def pixel_table(plan: Plan, cells: Sequence[Line], times: Sequence[Line]) -> tuple[Cells, tuple[Cells, ...]]:
    """Decoded pixels, memory of donors and time: means over kept fractions and strengths, then over clips."""
    head = (
        *("row", "PSNR to dense, pixels", "difference, all", "kept tokens", "high frequencies", "flicker"),
        *("PSNR to target", "difference", "extra memory", "time"),
    )
    ratios: dict[str, list[float]] = defaultdict(list)
    for (name, _), found in time_ratios(plan, times).items():
        ratios[name] += found
    body = []
    for row in plan.rows:
        own = select(cells, row=row.name)
        if not own:
            continue
        stored = max(cell["noise_bytes"] for cell in own)
        body.append(
            (
                f"`{row.name}`",
                mean(own, "psnr_pixel") or "equal",
                difference(cells, row, "psnr_pixel"),
                difference(cells, row, "psnr_pixel_kept"),
                mean(own, "high_frequencies", 3),
                mean(own, "flicker", 3),
                mean(own, "psnr_target", 2),
                difference(cells, row, "psnr_target"),
                f"{stored / 2**20:.2f} MiB" if stored else "none",
                f"{median_interval(ratios[row.name]).median:.2f}x" if row.name in ratios else "",
            )
        )
    return head, tuple(body)


def kind_table(plan: Plan, cells: Sequence[Line], kinds: Sequence[str]) -> tuple[Cells, tuple[Cells, ...]]:
    """PSNR of latents on kept tokens by kind of clip."""
    found = {kind: select(cells, kind=kind) for kind in kinds}
    head = ("row", *(f"{kind} ({len({cell['clip'] for cell in own})} clips)" for kind, own in found.items()))
    rows = [row for row in plan.rows if row.how != "dense"]
    return head, tuple(
        (f"`{row.name}`", *(_near(own, row, "psnr_latent_kept") for own in found.values())) for row in rows
    )


def fraction_table(
    plan: Plan, kept: float, cells: Sequence[Line], times: Sequence[Line], costs: Sequence[Line]
) -> tuple[Cells, tuple[Cells, ...]]:
    """Cost and all figures of the table of metrics at one kept fraction."""
    head = (
        *("row", "tokens kept", "time, denoise passes", "time, clean pass", "time, both"),
        *("FLOPs", "peak memory", *plan.metrics),
    )
    timed = {passes: time_ratios(plan, times, passes) for passes in ("denoise", "clean", "seconds")}
    flops = flop_ratios(plan, costs)
    peaks = {(line["row"], line["kept"]): line["peak_bytes"] for line in costs}
    body = []
    for row in plan.rows_at(kept):
        own, key = select(cells, row=row.name, kept=kept), (row.name, kept)
        body.append(
            (
                f"`{row.name}`",
                mean(own, "tokens_kept", 2),
                *(ratio(median_interval(found[key]) if key in found else None) for found in timed.values()),
                f"{flops[key]:.2f}" if key in flops else "",
                f"{peaks[key] / 2**20:.1f} MiB" if key in peaks else "",
                *(
                    mean(own, name, 3) or ("equal" if own and row.name == row.dense else "")
                    for name in plan.metrics
                ),
            )
        )
    return head, tuple(body)


def difference_table(plan: Plan, kept: float, cells: Sequence[Line]) -> tuple[Cells, tuple[Cells, ...]]:
    """The paired differences of all figures of the table of metrics at one kept fraction."""
    found = select(cells, kept=kept)
    rows = [row for row in plan.rows_at(kept) if row.reference not in (None, row.name)]
    return ("row", *plan.metrics), tuple(
        (f"`{row.name}`", *(difference(found, row, name, 3) for name in plan.metrics)) for row in rows
    )


def donor_table(lines: Sequence[Line]) -> tuple[Cells, tuple[Cells, ...]]:
    """Donors: means over clips and layers for each row that was recorded."""
    figures = {
        "offset of k": "offset_k",
        "of v": "offset_v",
        "error of k": "error_k",
        "error of v": "error_v",
        "attention on pruned places": "mass",
        "dense": "mass_dense",
    }
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line["row"]].append(line)
    body = []
    for row, found in groups.items():
        means = (statistics.fmean(line[key] for line in found) for key in figures.values())
        apart = statistics.fmean(abs(line["mass"] - line["mass_dense"]) for line in found)
        body.append((f"`{row}`", *(f"{value:.3f}" for value in means), f"{apart:.3f}"))
    return ("donors", *figures, "difference, by layer"), tuple(body)


def titled(heading: str, text: str, made: tuple[Cells, tuple[Cells, ...]]) -> Section:
    """A table as a section."""
    return Section(heading=heading, text=text, head=made[0], rows=made[1])
