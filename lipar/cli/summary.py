"""The lines that `lipar edit` prints at the end."""

from collections.abc import Sequence

from lipar.config import Config
from lipar.config_tables import NO_PART, OPTIONAL_PARTS
from lipar.events import EditOptions, EditReport
from lipar.messages import counted
from lipar.speedup import LEAST_PAIRS
from lipar.watch.stages import READING, WAITS, WRITING

HARDLY = 0.95
"""Fraction kept after the first block from which on pruning gains nothing."""
EVEN = 0.005
"""Two times of the whole command that differ by less are equal."""
HARDLY_PRUNES = (
    "hardly anything could be pruned: nearly every token changes from frame to frame, as with a moving camera or film "
    "grain. Try a clip with a still camera, higher thresholds (--set prune.tau_short=... and "
    "prune.tau_long=...), or a fixed part (--set prune.keep=0.7), which moves the result away from the dense one; "
    "--dense saves the time of the masks"
)


def summarise(report: EditReport, options: EditOptions, config: Config, start: float) -> list[str]:
    """The lines that `lipar edit` prints at the end.

    Args:
        report: what the edit did.
        options: paths, prompt and sizes.
        config: names and numbers of the run.
        start: seconds from the begin of the command until the edit began, which is mostly loading.
    """
    size, processed = report.source_size, report.processed_size
    name = options.source.name if options.source else "a generated clip"
    lines = [
        f"{name} -> {options.output}: {counted(report.frames, 'frame')} of {size[0]}x{size[1]}, processed at "
        f"{processed[0]}x{processed[1]} with {config.adapter.name}, seed {config.seed}",
        _kept_line(report, options),
        *_prompt_lines(report, options),
        *_mask_lines(report, options),
        f"{report.frames / report.seconds:.1f} frames/s from file to file, clean pass included "
        f"({report.seconds:.1f} s; loading lipar and the model took {start:.1f} s more)",
        _time_line(report.stage_seconds),
        f"engine: {report.engine}",
    ]
    chosen = {kind: getattr(config, kind).name for kind in OPTIONAL_PARTS}
    saving = [f"{kind} {name}" for kind, name in chosen.items() if name != NO_PART]
    if not options.dense:
        lines.append(_speed_line(report))
        if report.dense_seconds is not None:
            line = _whole_line(start + report.seconds, start + report.dense_seconds)
            lines.append(f"{line} (not counted: {report.probe_seconds:.1f} s to run blocks both ways)")
        if saving:
            lines.append(f"next to pruning: {', '.join(saving)}")
        elif _hardly_prunes(report):
            lines.append(HARDLY_PRUNES)
    return lines


def _speed_line(report: EditReport) -> str:
    if report.speedup_range is None:
        return f"speed-up not measured: {_too_short(report)}"
    low, high = report.speedup_range
    kept = f", {100 * report.probed_kept_fraction:.0f} % kept there" if report.probed_kept_fraction else ""
    where = f"on {report.probed_blocks} of {counted(report.blocks, 'block')} run both ways{kept}"
    if report.speedup_verdict == "too short":
        return f"speed-up not measured: {_too_short(report)}"
    if report.speedup_verdict == "too noisy":
        return f"speed-up too noisy to tell: {low:.2f}x to {high:.2f}x {where}; is the machine busy?"
    assert report.speedup is not None
    what = "computing every token"
    if report.speedup_verdict == "faster":
        return f"denoising + clean pass {report.speedup:.2f}x faster than {what} ({low:.2f}x to {high:.2f}x {where})"
    if report.speedup_verdict == "slower":
        slower, most, least = 1 / report.speedup, 1 / low, 1 / high
        return (
            f"denoising + clean pass {slower:.2f}x slower than {what} ({least:.2f}x to {most:.2f}x {where})"
        )
    return f"denoising + clean pass neither faster nor slower than {what} ({low:.2f}x to {high:.2f}x {where})"


def _too_short(report: EditReport) -> str:
    had = f"; there {'was' if report.probed_blocks == 1 else 'were'} {report.probed_blocks or 'none'}"
    return f"it takes {LEAST_PAIRS} blocks that have their whole context and prune something{had}"


def _hardly_prunes(report: EditReport) -> bool:
    return report.steady_kept_fraction is not None and report.steady_kept_fraction >= HARDLY


def _kept_line(report: EditReport, options: EditOptions) -> str:
    if options.dense:
        return "computed every token (--dense)"
    line = f"kept {100 * report.kept_fraction:.1f} % of the tokens, skipped {100 * (1 - report.kept_fraction):.1f} %"
    if report.steady_kept_fraction is not None:
        line += (
            f" ({100 * report.steady_kept_fraction:.1f} % kept after the first block, which is always whole)"
        )
    if report.scene_cuts:
        cuts, frames = len(report.scene_cuts), ", ".join(map(str, report.scene_cuts))
        each, at = ("", "frame") if cuts == 1 else ("each ", "frames")
        line += f"; {counted(cuts, 'scene cut')}, {each}with a whole block at {at} {frames}"
    return line


def _prompt_lines(report: EditReport, options: EditOptions) -> list[str]:
    """When each of several prompts took effect."""
    if not options.later_prompts:
        return []
    effects = [f"{text!r} from frame {frame} on" for frame, text in ((0, options.prompt), *report.prompts)]
    lines = [f"prompts: {', '.join(effects)}; the first block of each is computed in full"]
    shown = [text for _, text in report.prompts]
    for entry in options.later_prompts:
        if entry.text in shown:
            shown.remove(entry.text)
        else:
            lines.append(
                f"the prompt {str(entry)!r} never took effect: no block begins at or after its moment"
            )
    return lines


def _mask_lines(report: EditReport, options: EditOptions) -> list[str]:
    if options.mask is None or report.inside_fraction is None:
        return []
    name, inside = options.mask.path.name, report.inside_fraction
    if not inside:
        return [
            f"mask {name}: nothing may change, so the source was written as it is, and the model did not run"
        ]
    return [
        f"mask {name}: {100 * inside:.1f} % of the tokens may change, those at its border included; every other "
        "pixel is the source's"
    ]


def _whole_line(seconds: float, dense: float) -> str:
    if abs(dense / seconds - 1) < EVEN:
        said = "as long as"
    elif dense > seconds:
        said = f"{dense / seconds:.2f}x faster than"
    else:
        said = f"{seconds / dense:.2f}x slower than"
    return f"the whole command {said} with --dense: {seconds:.1f} s instead of an estimated {dense:.1f} s"


def _time_line(seconds: dict[str, float]) -> str:
    order = ["encode", "mask", "DiT", "clean pass", "restore", "decode to pixels", *WAITS, "finish"]
    line = "time: " + _listed(seconds, order)
    meanwhile = _listed(seconds, [READING, WRITING])
    return f"{line}; meanwhile {meanwhile}" if meanwhile else line


def _listed(seconds: dict[str, float], stages: Sequence[str]) -> str:
    return ", ".join(f"{stage} {seconds[stage]:.2f} s" for stage in stages if stage in seconds)
