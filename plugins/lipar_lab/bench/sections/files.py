"""From file to file: where the time of `lipar edit` goes, pruned and dense, and what writing cost before."""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import attrs
from torch import Tensor

from lipar.speedup import Ratio, paired_ratio
from lipar_lab.bench import SECTIONS
from lipar_lab.bench.edit_command import STAGES, EditTimes, time_edit
from lipar_lab.bench.ratios import interleave
from lipar_lab.bench.setup import Setup

Edit: TypeAlias = Callable[[Sequence[str | Path], Path], EditTimes]
"""`time_edit`, or what stands for it in tests."""

PROMPT = "watercolour"
GENERATED = {"frames": 60, "width": 1280, "height": 720}
"""The clip that is edited where none is given."""
MOST_WRITTEN = 48
"""Frames with which both ways of writing are measured."""


def fits(setup: Setup) -> bool:
    """Where PyAV is installed and the section is asked for: it does not use the model of the shape."""
    settings = setup.settings
    asked_for = bool(settings.inputs) or set(settings.sections) != set(SECTIONS)
    return asked_for and find_spec("av") is not None


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The figures of `measure_clip` for each input, or for a generated clip."""
    from lipar.video import write_synthetic_clip

    settings = setup.settings
    place = ("--device", settings.device, "--dtype", settings.dtype)
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(path) for path in settings.inputs]
        if not clips:
            clips = [write_synthetic_clip(Path(folder) / "generated.mp4", **GENERATED)]
        for clip in clips:
            yield measure_clip(clip, place, repeats=settings.repeats)


def measure_clip(clip: Path, place: Sequence[str], *, repeats: int, edit: Edit = time_edit) -> dict[str, Any]:
    """Edit a clip pruned and dense in turn, and write its edited frames both ways in turn.

    Args:
        clip: a video file.
        place: options of `lipar edit` for device and number type.
        repeats: interleaved rounds.
        edit: runs the command.
    """
    from lipar_lab.bench.writing import measure_writing

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        common: list[str | Path] = [clip, "--prompt", PROMPT, *place, "--output"]
        # its frames are those of the model up to the colours of 4:2:0; it also warms up the caches of the disk
        small = folder / "small.mp4"
        first = edit([*common, small, "--size", "model", "--quality", "ultrafast:0"], folder)
        done: dict[str, list[EditTimes]] = {"pruned": [], "dense": []}
        arguments: dict[str, list[str | Path]] = {name: [*common, folder / f"{name}.mp4"] for name in done}
        arguments["dense"].append("--dense")

        def run(name: str) -> float:
            done[name].append(edit(arguments[name], folder))
            return done[name][-1].command

        interleave({name: partial(run, name) for name in done}, repeats, warm_up=0)
        writing = measure_writing(_frames(small), first.source_size, repeats=repeats)
    pruned = done["pruned"]
    return {
        "clip": clip.name,
        "frames": first.frames,
        "source_size": first.source_size,
        "processed_size": first.processed_size,
        "kept": first.kept,
        "runs": {name: [attrs.asdict(one) for one in runs] for name, runs in done.items()},
        "milliseconds": {name: _per_frame(runs) for name, runs in done.items()},
        "seconds": {
            name: {
                what: statistics.median(getattr(one, what) for one in runs)
                for what in ("edit", "command", "cpu")
            }
            for name, runs in done.items()
        },
        "dense_over_pruned": {
            "transformer": _ratio(done["dense"], pruned, lambda one: one.stages["transformer"]),
            "edit": _ratio(done["dense"], pruned, lambda one: one.edit),
            "command": _ratio(done["dense"], pruned, lambda one: one.command),
            "cpu": _ratio(done["dense"], pruned, lambda one: one.cpu),
        },
        "estimated_over_dense": _estimated(done["dense"], pruned),
        "writing": writing,
    }


def _frames(path: Path) -> list[Tensor]:
    from lipar.video import VideoReader

    with VideoReader(path) as reader:
        return [frame.unit() for frame in reader.take(MOST_WRITTEN)]


def _per_frame(runs: Sequence[EditTimes]) -> dict[str, float]:
    return {
        stage: 1000 * statistics.median(one.stages[stage] / one.frames for one in runs) for stage in STAGES
    }


def _ratio(
    dense: Sequence[EditTimes], pruned: Sequence[EditTimes], what: Callable[[EditTimes], float]
) -> Ratio:
    return paired_ratio([what(one) for one in dense], [what(one) for one in pruned])


def _estimated(dense: Sequence[EditTimes], pruned: Sequence[EditTimes]) -> Ratio | None:
    """What pruned runs estimated for a dense run, over its true time; None where none could tell."""
    pairs = [
        (one.estimated_dense, other.edit)
        for one, other in zip(pruned, dense, strict=True)
        if one.estimated_dense is not None
    ]
    return paired_ratio(*zip(*pairs, strict=True)) if pairs else None


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of the stages, the ratios of dense to pruned, and both ways of writing."""
    size, processed, ratio = figures["source_size"], figures["processed_size"], figures["dense_over_pruned"]
    found = [
        f"{figures['clip']}: {figures['frames']} frames of {size[0]}x{size[1]}, processed at "
        f"{processed[0]}x{processed[1]}, kept {figures['kept']:.3f}; medians",
        "  ms per frame  "
        + "".join(f"{stage:>12}" for stage in STAGES)
        + "   file to file   command       CPU",
    ]
    for name, stages in figures["milliseconds"].items():
        seconds = figures["seconds"][name]
        found.append(
            f"  {name:14}"
            + "".join(f"{stages[stage]:12.2f}" for stage in STAGES)
            + f"  {seconds['edit']:11.2f} s {seconds['command']:7.2f} s {seconds['cpu']:7.2f} s"
        )
    return [
        *found,
        f"  dense / pruned: transformer {ratio['transformer']}, file to file {ratio['edit']}",
        f"                  command with start-up {ratio['command']}, its CPU time {ratio['cpu']}",
        f"  dense as a pruned run estimates it / dense: {figures['estimated_over_dense'] or 'too noisy or short'}",
        *_writing_lines(figures["writing"]),
    ]


def _writing_lines(figures: dict[str, Any]) -> list[str]:
    small, large, taken = figures["from"], figures["to"], figures["cpu_milliseconds"]
    ways = [
        f"    {name:16} {taken[name]:7.2f} ms per frame, {file['bytes'] / 1000:6.0f} kB, PSNR {file['psnr']:.2f} dB, "
        f"worst frame {file['worst_psnr']:.2f}"
        for name, file in figures["files"].items()
    ]
    return [
        f"  CPU time of writing {figures['frames']} frames from {small[0]}x{small[1]} to {large[0]}x{large[1]}, "
        f"before / now: {figures['ratio']}",
        f"    before the encoder: {taken['before, pictures']:.2f} ms per frame before, "
        f"{taken['now, pictures']:.2f} now",
        *ways,
    ]
