"""The page of a clip: the player, figures, times, configs, and what it was made with."""

from collections.abc import Sequence

from lipar.messages import counted
from lipar.metrics.table import METRICS
from lipar.page import best_rows, code, details, document, facts, package_file, table
from lipar_lab.compare.comparison import speed_of
from lipar_lab.compare.figures import Figures
from lipar_lab.compare.page_content import PageContent, PageRun
from lipar_lab.compare.player import PACKAGE, SCRIPTS, player

STAGES = {
    "encode": "encode (once for all runs)",
    "mask": "prune: decide what to compute",
    "DiT": "denoise",
    "clean pass": "clean pass",
    "restore": "restore",
    "decode to pixels": "decode",
}
"""Stages in the order of a run, by their names in `lipar.watch.stages`, as readers know them."""


def page_of(content: PageContent, figures: Figures) -> str:
    """The page as HTML.

    Args:
        content: what it shows.
        figures: which figures were measured.
    """
    return document(
        f"{content.clip}: pruned versus dense",
        {
            "Player": player(content),
            "Figures": _figures(content, figures),
            "Time per stage": _times(content),
            "Configs": _configs(content.variants),
            "How it was made": _origin(content),
        },
        summary=_summary(content),
        scripts=[package_file(PACKAGE, name) for name in SCRIPTS],
        styles=[package_file(PACKAGE, "player.css")],
    )


def _summary(content: PageContent) -> list[str]:
    seconds = float(content.frames / content.frame_rate)
    lines = [f"Prompt: “{content.prompt}”. {content.frames} frames, {seconds:.1f} s."]
    row = content.variants[0].row
    if row is not None:
        speed = speed_of(row)
        faster = f"speed-up {speed}" if speed[0].isdigit() else f"speed-up: {speed} to tell"
        lines.append(
            f"“{row.variant}” computes {100 * row.kept_fraction:.0f} % of the tokens; {faster} (denoising and clean "
            "pass). Drag the divider to compare; the lists under the picture choose what is left and right of it."
        )
    return lines


def _figures(content: PageContent, figures: Figures) -> list[str]:
    runs = content.runs
    head = ["", "kept", "speed-up (lowest..highest)", *(figures.heading(name) for name in figures.names)]
    rows = [
        [
            run.name,
            *([f"{100 * run.row.kept_fraction:.0f} %", speed_of(run.row)] if run.row else ["", ""]),
            *(
                figures.shown(name, run.figures[name]) if name in run.figures else ""
                for name in figures.names
            ),
        ]
        for run in runs
    ]
    first = len(runs) - len(content.variants)
    best = [
        (first + index, 3 + column)
        for column, name in enumerate(figures.names)
        for index in best_rows([run.figures.get(name) for run in content.variants], METRICS[name].better)
    ]
    return [
        f"Of frames {content.measured_from} to {content.frames - 1}: the blocks after the first, which is always "
        "computed in full. The best of the variants is marked. Speed-up is that of denoising and clean pass, each "
        "block timed dense and pruned in turn: the median of the blocks, and their range."
        if content.measured_from < content.frames
        else "The clip has a single block, which is always computed in full, so that there is nothing to measure.",
        table(head, rows, numeric=head[1:], best=best, caption="Figures of the variants"),
        details(
            "What the figures mean", facts({METRICS[name].label: _about(name) for name in figures.names})
        ),
    ]


def _about(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.about} {metric.better.capitalize()} is better."


def _times(content: PageContent) -> list[str]:
    runs = [*content.dense, *content.variants]
    named = {stage for run in runs for stage in run.stage_seconds}
    stages = [stage for stage in STAGES if stage in named] + sorted(named - STAGES.keys())
    rows: list[list[str | float | None]] = [
        [STAGES.get(stage, stage), *(_seconds(run.stage_seconds.get(stage)) for run in runs)]
        for stage in stages
    ]
    rows.append(["all stages", *(_seconds(sum(run.stage_seconds.values())) for run in runs)])
    head = ["seconds", *(run.name for run in runs)]
    return [
        "Seconds of the whole clip. Each run was timed once, one after the other, so that other work on the machine "
        "shows here; the speed-up above is of interleaved blocks.",
        table(head, rows, numeric=head[1:], caption="Seconds per stage"),
    ]


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _configs(variants: Sequence[PageRun]) -> list[str]:
    keys = list(dict.fromkeys(key for run in variants for key in run.config))
    differ = [key for key in keys if len({run.config.get(key) for run in variants}) > 1]
    same = {key: variants[0].config[key] for key in keys if key not in differ}
    blocks: list[str] = []
    if differ:
        head = ["key", *(run.name for run in variants)]
        rows = [[key, *(run.config.get(key) for run in variants)] for key in differ]
        blocks.append(table(head, rows, caption="Keys that differ"))
    else:
        blocks.append("All variants have the same config.")
    return [*blocks, details(f"{counted(len(same), 'key')} with the same value in all variants", facts(same))]


def _origin(content: PageContent) -> list[str]:
    made = dict(content.provenance)
    command = made.pop("command", "")
    size, file_size = ("x".join(map(str, sides)) for sides in (content.size, content.file_size))
    return [
        code(command),
        facts(
            {
                "clip": content.clip,
                "prompt": content.prompt,
                "size": f"{size} pixels (the file has {file_size})",
                "frame rate": f"{float(content.frame_rate):.4g} frames a second",
                **made,
            }
        ),
    ]
