"""The page of a batch: what failed, the slowest and the worst clips, where the time went."""

from collections.abc import Mapping, Sequence
from typing import Any

from lipar.files.tables import Flat
from lipar.messages import counted
from lipar.metrics.table import METRICS
from lipar.page import Cell, Content, Markup, code, document, facts, table

SHOWN = 20
"""Lines of a table at most; the whole report is in the other files."""


def page_of(lines: Sequence[Flat], metrics: Sequence[str], made_with: Mapping[str, str]) -> str:
    """The page as HTML.

    Args:
        lines: of the report.
        metrics: figures that were asked for.
        made_with: see `lipar.page.provenance`.
    """
    there = [line for line in lines if line["kept_fraction"] is not None]
    failed = [line for line in lines if line["error"] is not None]
    made = dict(made_with)
    command = made.pop("command", "")
    sections: dict[str, Content] = {"Clips": facts(_sums(lines, there, failed))}
    if failed:
        sections["Failed"] = _table(failed, {"why": "error", "state": "state"}, len(failed))
    if there:
        slowest = sorted(there, key=lambda line: -_number(line["seconds"]))
        sections["Slowest"] = _table(slowest, {"seconds": "seconds", **_RUN}, len(there))
        sections |= _worst(there, metrics)
        sections["Time"] = _times(there)
    sections["How it was made"] = [code(command), facts(made)]
    return document(
        f"Batch: {counted(len(lines), 'clip')}",
        sections,
        summary=f"{len(there)} with a result, {len(failed)} failed. All columns of all clips are in batch.csv.",
    )


_RUN = {"frames": "frames", "kept": "kept_fraction", "speed-up": "speedup"}


def _sums(lines: Sequence[Flat], there: Sequence[Flat], failed: Sequence[Flat]) -> dict[str, Cell]:
    states = [str(line["state"]) for line in lines]
    frames, seconds = _sum(there, "frames"), _sum(there, "seconds")
    sums: dict[str, Cell] = {state: states.count(state) for state in dict.fromkeys(states)}
    if there:
        kept = sum(_number(line["kept_fraction"]) * _number(line["frames"]) for line in there)
        sums |= {
            "frames": int(frames),
            "seconds of all edits": seconds,
            "frames per second and worker": frames / seconds if seconds else None,
            "kept, mean over frames": kept / frames if frames else None,
        }
    measured = [line for line in there if line["dense_seconds"] is not None]
    if measured:
        ratio = _sum(measured, "dense_seconds") / max(_sum(measured, "seconds"), 1e-9)
        sums[f"whole edits faster than dense, estimated of {counted(len(measured), 'clip')}"] = ratio
    return sums


def _worst(there: Sequence[Flat], metrics: Sequence[str]) -> dict[str, Content]:
    """The clips with the worst figures; without figures, those of which most had to be computed."""
    if not metrics:
        most = sorted(there, key=lambda line: -_number(line["kept_fraction"]))
        return {"Least pruned": _table(most, {**_RUN, "seconds": "seconds"}, len(there))}
    found: dict[str, Content] = {}
    for name in metrics:
        metric = METRICS[name]
        known = [line for line in there if line.get(name) is not None]
        sign = 1 if metric.better == "higher" else -1
        worst = sorted(known, key=lambda line: sign * _number(line[name]))
        unit = f" ({metric.unit})" if metric.unit else ""
        found[f"Worst by {metric.label}"] = (
            [_table(worst, {f"{metric.label}{unit}": name, **_RUN}, len(known)), metric.about]
            if known
            else "It is not defined for any of these clips."
        )
    return found


def _times(there: Sequence[Flat]) -> Content:
    names = dict.fromkeys(name for line in there for name in line if name.startswith("time "))
    rows: list[list[Cell]] = [
        [name.removeprefix("time "), _sum(there, name), _sum(there, name) / max(_sum(there, "frames"), 1)]
        for name in names
    ]
    return table(["stage", "seconds", "seconds per frame"], rows, caption="Sums over all clips with a result")


def _table(lines: Sequence[Flat], named: Mapping[str, str], of: int) -> Markup:
    shown: list[list[Cell]] = [
        [line["clip"], line["prompt"], *(line.get(column) for column in named.values())]
        for line in lines[:SHOWN]
    ]
    caption = f"{min(SHOWN, len(lines))} of {of}" if len(lines) > SHOWN else ""
    return table(["clip", "prompt", *named], shown, caption=caption)


def _sum(lines: Sequence[Flat], name: str) -> float:
    return float(sum(_number(line.get(name)) for line in lines))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
