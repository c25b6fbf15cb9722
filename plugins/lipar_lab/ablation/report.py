"""The report of an ablation as sections: every table with an explanation of its figures."""

from collections.abc import Mapping, Sequence

import attrs

from lipar.messages import counted, escaped
from lipar_lab.ablation.field_table import field_table
from lipar_lab.ablation.metric_table import label
from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.sections import Section
from lipar_lab.ablation.statistics import Line
from lipar_lab.ablation.tables import (
    difference_table,
    donor_table,
    fraction_table,
    kind_table,
    latent_table,
    pixel_table,
    titled,
)


@attrs.frozen(kw_only=True)
class Results:
    """The lines of a record that belong to a plan, by kind."""

    cells: Sequence[Line]
    times: Sequence[Line] = ()
    costs: Sequence[Line] = ()
    mechanism: Sequence[Line] = ()
    left_out: Mapping[str, str] = attrs.field(factory=dict)
    """Reason by the name of each row that could not run."""
    vbench: Mapping[str, Mapping[str, float]] = attrs.field(factory=dict)
    """Means of VBench's dimensions by folder of videos."""


def report(plan: Plan, results: Results) -> list[Section]:
    """All tables of an ablation.

    Args:
        plan: what was run.
        results: what it gave.
    """
    sections = [_introduction(plan, results), _rows(plan)]
    if plan.videos is not None:
        sections.append(
            titled(
                "As other papers print it",
                "Speed-up: time of dense over time of the row, denoise and clean passes, without the autoencoder. "
                "PSNR, SSIM and LPIPS: to the dense run. VBench: as its own program rated the videos, where it has.",
                field_table(plan, results.cells, results.times, results.vbench),
            )
        )
    sections += _latents(plan, results)
    sections += _by_fraction(plan, results)
    if results.mechanism:
        sections.append(
            titled(
                "Donors",
                "Donors versus the dense run's keys and values, as fractions of their norm. *Offset*: of the mean over "
                "pruned places; *error*: of each. Attention: that of the kept queries; *difference*: the mean absolute "
                "difference of both in a layer. All are means over layers; `results.json` has every layer.",
                donor_table(results.mechanism),
            )
        )
    for name, reason in results.left_out.items():
        sections.append(Section(text=escaped(f"Not run: `{name}` ({reason}).")))
    return sections


def _introduction(plan: Plan, results: Results) -> Section:
    clips = len({cell["clip"] for cell in results.cells})
    text = (
        f"{counted(clips, 'clip')}, {counted(plan.clips.pixel_frames, 'frame')} each; "
        "seeds and noise are shared by all rows, and so are keep masks, unless a row brings its own. "
        f"± is half a 95 % interval (Student's t over clips) of the paired difference to `{plan.reference}`; bold: it "
        "excludes 0. Figures are those of the blocks after the first, which is always computed in full."
    )
    return Section(text=" ".join([*([plan.about.strip()] if plan.about else []), text]))


def _rows(plan: Plan) -> Section:
    rows = tuple(
        (f"`{row.name}`", row.about, " ".join(f"`{one}`" for one in row.settings)) for row in plan.rows
    )
    return Section(heading="Rows", head=("row", "what it is", "settings"), rows=rows, of_numbers=False)


def _latents(plan: Plan, results: Results) -> list[Section]:
    cells = results.cells
    sections = [
        titled(
            f"Latents, strength {strength:g}",
            f"PSNR of latents to dense, kept tokens, strength {strength:g} (peak: range of the dense run); other rows: "
            f"difference to `{plan.reference}`:",
            latent_table(plan, cells, strength),
        )
        for strength in plan.strengths
    ]
    sections.append(
        titled(
            "Pixels",
            "Decoded pixels, all strengths and kept fractions. *High frequencies*: energy over the dense run's. "
            "*Flicker*: mean change from frame to frame where the source is still, in levels of 255. *Target*: the "
            "exactly rendered edit. *Memory*: tensors of the noise source. *Time*: denoise and clean passes, the "
            f"median ratio to dense, interleaved. *Differences*: to `{plan.reference}`, in dB.",
            pixel_table(plan, cells, results.times),
        )
    )
    kinds = sorted({cell["kind"] for cell in cells if cell["kind"]})
    if len(kinds) > 1:
        text = f"PSNR of latents to dense on kept tokens, difference to `{plan.reference}`, by kind of clip:"
        sections.append(titled("Kinds of clips", text, kind_table(plan, cells, kinds)))
    return sections


def _by_fraction(plan: Plan, results: Results) -> list[Section]:
    if not (plan.metrics or results.costs):
        return []
    sections = []
    for kept in sorted(plan.kept, reverse=True):
        name = f"{100 * (1 - kept):.0f} % pruned"
        sections.append(
            titled(
                name,
                "Ratios to the dense run, with its figures on the same clips. Time: median and its 95 % interval over "
                "rounds, rows in turn in one process. FLOPs: of all blocks after the first. Peak memory: of the last "
                f"block. {_legend(plan)}",
                fraction_table(plan, kept, results.cells, results.times, results.costs),
            )
        )
        if plan.metrics:
            text = f"{name}, paired differences to `{plan.reference}`:"
            sections.append(titled("", text, difference_table(plan, kept, results.cells)))
    return sections


def _legend(plan: Plan) -> str:
    labels = [f"*{name}*: {label(name)}" for name in plan.metrics]
    return "; ".join(labels) + ("." if labels else "")
