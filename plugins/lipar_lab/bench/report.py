"""The figures as text, one section after the other, and as JSON."""

import json
from pathlib import Path
from typing import Any

import attrs

from lipar.files.owner import write_whole
from lipar.speedup import Ratio

Section = dict[str, Any]

GIB = 2**30


def to_json(results: Section, path: Path) -> None:
    """Write all results so far."""
    write_whole(path, json.dumps(results, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Ratio):
        return attrs.asdict(value)
    raise TypeError(f"{type(value).__name__} has no place in the results")


def machine_lines(machine: Section) -> list[str]:
    """One line of names and versions."""
    return ["  ".join(f"{name} {value}" for name, value in machine.items() if value is not None)]


def ceiling_lines(ceiling: Section) -> list[str]:
    """The matrix product's speed."""
    return [f"matrix product of {ceiling['size']:.0f}^2: {ceiling['median'] / 1e12:.2f} TFLOP/s (median)"]


def overhead_lines(overhead: Section) -> list[str]:
    """Ratios to stock."""
    ratio = overhead["ratio"]
    equal = "bit-equal to stock" if overhead["keep_all_bit_equal"] else "NOT bit-equal to stock"
    return [
        f"{overhead['tokens']} tokens, median (min..max) of paired ratios to the stock forward",
        f"  keep all        {ratio['keep_all']}   {equal}",
        f"  all but one     {ratio['all_but_one']}",
    ]


def pipeline_lines(pipeline: Section) -> list[str]:
    """A stock pipeline with `lipar.enable`, against itself without."""
    frames, rows, cols = pipeline["grid"]
    equal = "bit-equal to stock" if pipeline["keep_all_bit_equal"] else "NOT bit-equal to stock"
    lines = [
        f"denoising of an enabled pipeline, {frames} frames of {rows}x{cols} tokens, {pipeline['steps']} steps, "
        "against stock",
        "  kept   T(enabled)/T(stock) (min..max)   over kept",
    ]
    for name, ratio in pipeline["ratio"].items():
        kept = pipeline["kept"][name]
        note = f"   {equal}" if name == "keep_all" else ""
        lines.append(f"  {kept:.3f}  {ratio!s:>29}   {ratio.median / kept:9.3f}{note}")
    return lines


def sweep_lines(sweep: Section) -> list[str]:
    """A table of kept fractions, and where a block's time goes."""
    lines = [
        f"{sweep['task']}, window of {sweep['context_frames']} frames ({sweep['window']}), {sweep['passes']} passes, "
        f"{sweep['masks']} masks",
        "  kept   T(kept)/T(1) (min..max)   over kept   speed-up   of 1/kept    s/block      FPS   TFLOP/s  of ceiling",
    ]
    for row in sweep["rows"]:
        of_ceiling = f"{row['of_ceiling']:10.1%}" if "of_ceiling" in row else ""
        lines.append(
            f"  {row['kept']:.3f}  {row['ratio_to_dense']!s:>22}   {row['ratio_over_kept']:9.3f}"
            f"   {row['speedup']:8.2f}   {row['speedup_over_ideal']:9.1%}  {row['median_seconds']:9.4f}"
            f"  {row['fps']:7.2f}  {row['tflops']:8.2f}{of_ceiling}"
        )
    for row in (sweep["rows"][0], sweep["rows"][-1]):
        stages = "  ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in row["stages"].items())
        lines.append(f"  ms per stage at kept {row['kept']:.2f}: {stages}")
    return lines


def forward_lines(forward: Section) -> list[str]:
    """One forward of a bidirectional model."""
    frames, rows, cols = forward["grid"]
    lines = [
        f"one forward, {frames} frames of {rows}x{cols} tokens, against keep-all; stock: {forward['ratio_to_stock']}",
        "  kept   T(kept)/T(1) (min..max)   over kept   s/forward   TFLOP/s",
    ]
    lines += [
        f"  {row['kept']:.3f}  {row['ratio_to_dense']!s:>22}   {row['ratio_over_kept']:9.3f}"
        f"   {row['median_seconds']:9.4f}  {row['tflops']:8.2f}"
        for row in forward["rows"]
    ]
    return lines


def mask_lines(mask: Section) -> list[str]:
    """Milliseconds per block."""
    frames, rows, cols = mask["grid"]
    chains = "  ".join(
        f"{name} {taken:.2f} ms (fastest {mask['fastest_milliseconds'][name]:.2f}, kept {mask['kept'][name]:.2f})"
        for name, taken in mask["milliseconds"].items()
    )
    return [
        f"mask of a block of {frames}x{rows}x{cols} tokens, median: {chains}",
        f"  default / released: {mask['ratio']['default_to_released']}",
    ]


def memory_lines(memory: Section) -> list[str]:
    """A table of cache and peak."""
    lines = ["  frames   window    kept   cache GiB   peak GiB"]
    lines += [
        f"  {row['frames']:6d}   {row['window']:7s}   {row['kept']:.2f}   {row['cache_bytes'] / GIB:9.3f}"
        f"   {row['peak_bytes'] / GIB:8.3f}"
        for row in memory["rows"]
    ]
    lines.append(f"  of which weights {memory['rows'][0]['model_bytes'] / GIB:.3f} GiB")
    return lines


def sync_lines(syncs: Section) -> list[str]:
    """Waits by line."""
    where = [f"  {count:4d}  {line}" for line, count in syncs["lines"].items()]
    return [f"host waits for the device inside a block: {syncs['count']}", *where]


def profile_lines(profile: Section) -> list[str]:
    """The most expensive operations."""
    lines = [
        f"one step and clean pass at kept {profile['kept']:.2f}: {profile['kernels']} kernels, "
        f"{profile['kernel_seconds'] * 1000:.1f} ms on the device of {profile['seconds_profiled'] * 1000:.1f} ms"
    ]
    lines += [
        f"  {one['milliseconds']:9.2f} ms  {one['count']:6d}  {one['name']}" for one in profile["top"][:20]
    ]
    return lines
