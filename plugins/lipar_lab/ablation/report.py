"""The tables of an ablation, as Markdown."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from lipar.messages import counted, escaped
from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.rows import REFERENCE
from lipar_lab.ablation.statistics import Interval, Line, by_clip, paired, time_ratios


def _select(cells: Iterable[Line], **wanted: Any) -> list[Line]:
    return [cell for cell in cells if all(cell[key] == value for key, value in wanted.items())]


def _signed(interval: Interval | None, unit: str = "") -> str:
    if interval is None:
        return ""
    half = f" ±{interval.half:.2f}" if interval.count > 1 else ""
    text = f"{interval.mean:+.2f}{half}{unit}"
    return f"**{text}**" if interval.excludes_zero else text


def _mean(cells: Sequence[Line], figure: str, digits: int = 1) -> str:
    means = by_clip(cells, figure)
    return f"{statistics.fmean(means.values()):.{digits}f}" if means else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; control characters are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines)


def latent_table(plan: Plan, cells: Sequence[Line], strength: float, figure: str = "psnr_latent_kept") -> str:
    """The table of one strength by kept fraction: the figure of `paper`, and the difference of every other row."""
    columns = {kept: _select(cells, strength=strength, kept=kept) for kept in plan.kept}
    head = ["strategy"]
    for kept, found in columns.items():
        real = by_clip(_select(found, row=REFERENCE) or found, "kept_real").values()
        head.append(
            f"{100 * kept:.0f} % kept" + (f" (real {100 * statistics.fmean(real):.0f})" if real else "")
        )
    body = []
    for row in plan.rows:
        if row.how == "dense":
            continue
        line = [f"`{row.name}`"]
        for found in columns.values():
            own = _select(found, row=row.name)
            line.append(
                f"{_mean(own, figure)} dB"
                if row.name == REFERENCE
                else _signed(paired(found, row.name, figure))
            )
        body.append(line)
    return table(head, body)


def pixel_table(plan: Plan, cells: Sequence[Line], times: Sequence[Line]) -> str:
    """The table of decoded pixels, memory and time: means over kept fractions and strengths, then over clips."""
    head = [
        "strategy",
        "PSNR to dense, pixels",
        "to the paper's, all",
        "kept tokens",
        "high frequencies",
        "flicker",
        "PSNR to target",
        "to the paper's",
        "extra memory",
        "time",
    ]
    ratios = time_ratios(times)
    body = []
    for row in plan.rows:
        own = _select(cells, row=row.name)
        if not own:
            continue
        compared = row.name not in (REFERENCE, "dense")
        stored = max(cell["noise_bytes"] for cell in own)
        body.append(
            [
                f"`{row.name}`",
                _mean(own, "psnr_pixel") or "equal",
                _signed(paired(cells, row.name, "psnr_pixel")) if compared else "",
                _signed(paired(cells, row.name, "psnr_pixel_kept")) if compared else "",
                _mean(own, "high_frequencies", 3),
                _mean(own, "flicker", 3),
                _mean(own, "psnr_target", 2),
                _signed(paired(cells, row.name, "psnr_target")) if row.name != REFERENCE else "",
                f"{stored / 2**20:.2f} MiB" if stored else "none",
                f"{ratios[row.name]:.2f}x" if row.name in ratios else "",
            ]
        )
    return table(head, body)


def donor_table(lines: Sequence[Line]) -> str:
    """The table of donors: means over clips and layers for each row that was recorded."""
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
        difference = statistics.fmean(abs(line["mass"] - line["mass_dense"]) for line in found)
        body.append([f"`{row}`", *(f"{mean:.3f}" for mean in means), f"{difference:.3f}"])
    return table(["donors", *figures, "difference, by layer"], body)


def report(
    plan: Plan,
    cells: Sequence[Line],
    times: Sequence[Line],
    watched: Sequence[Line],
    left_out: dict[str, str],
) -> str:
    """All tables, each with an explanation of its figures.

    Args:
        plan: what was run.
        cells: lines of the record of the kind `cell`; likewise `times` and `watched` of `time` and `mechanism`.
        times: see `cells`.
        watched: see `cells`.
        left_out: reason by the name of each row that cannot run.
    """
    clips = len({cell["clip"] for cell in cells})
    parts = [
        f"{counted(clips, 'clip')}, {counted(plan.clips.pixel_frames, 'frame')} each; "
        "seeds, keep masks and noise are shared by all rows. "
        "± is half a 95 % interval (Student's t over clips) of the paired difference to `paper`; bold: it excludes 0. "
        "Figures are those of the blocks after the first, which is always computed in full."
    ]
    for strength in plan.strengths:
        parts.append(
            f"PSNR of latents to dense, kept tokens, strength {strength:g} (peak: range of the dense run):"
        )
        parts.append(latent_table(plan, cells, strength))
    parts.append(
        "Decoded pixels, all strengths and kept fractions. *High frequencies*: energy over the dense run's. *Flicker*: "
        "mean change from frame to frame where the source is still, in levels of 255. *Target*: the exactly rendered "
        "edit. *Memory*: tensors of the noise source. *Time*: denoise passes, the median ratio to `paper`, interleaved."
    )
    parts.append(pixel_table(plan, cells, times))
    kinds = sorted({cell["kind"] for cell in cells if cell["kind"]})
    if len(kinds) > 1:
        parts.append("PSNR of latents to dense on kept tokens, difference to `paper`, by kind of clip:")
        parts.append(_by_kind(plan, cells, kinds))
    if watched:
        parts.append(
            "Donors versus the dense run's keys and values, as fractions of their norm. *Offset*: of the mean over "
            "pruned places; *error*: of each. Attention: that of the kept queries; *difference*: the mean absolute "
            "difference of both in a layer. All are means over layers; `results.json` has every layer."
        )
        parts.append(donor_table(watched))
    for name, reason in left_out.items():
        parts.append(escaped(f"Not run: `{name}` ({reason})."))
    return "\n\n".join(parts) + "\n"


def _by_kind(plan: Plan, cells: Sequence[Line], kinds: Sequence[str]) -> str:
    found = {kind: _select(cells, kind=kind) for kind in kinds}
    head = [
        "strategy",
        *(f"{kind} ({len({cell['clip'] for cell in own})} clips)" for kind, own in found.items()),
    ]
    body = []
    for row in plan.rows:
        if row.name == REFERENCE:
            body.append(
                [
                    f"`{row.name}`",
                    *(
                        f"{_mean(_select(own, row=row.name), 'psnr_latent_kept')} dB"
                        for own in found.values()
                    ),
                ]
            )
        elif row.how != "dense":
            body.append(
                [
                    f"`{row.name}`",
                    *(_signed(paired(own, row.name, "psnr_latent_kept")) for own in found.values()),
                ]
            )
    return table(head, body)
