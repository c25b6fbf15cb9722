"""Time and quality of a clip of `lipar ttm`, and its distance to the dense clip: figures and printed lines."""

from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.messages import counted
from lipar.metrics.fidelity import psnr
from lipar_adapters.time_to_move.motion import MotionClip, MotionScene


@attrs.frozen(kw_only=True)
class Figures:
    """Figures of one clip, or of a pruned and a dense one; what `lipar ttm --json` writes."""

    folder: str
    model: str
    frames: int
    width: int
    height: int
    steps: int
    tweak_index: int
    tstrong_index: int
    seed: int
    masked_fraction: float
    kept_fraction: float
    denoising_seconds: float
    dense_denoising_seconds: float | None = None
    speedup: float | None = None
    psnr_to_dense: float | None = None
    """PSNR in dB; None: not compared, or equal."""
    warp_error: float | None = None
    dense_warp_error: float | None = None
    flow_method: str | None = None


def figures_of(
    scene: MotionScene,
    clip: MotionClip,
    *,
    dense: MotionClip | None,
    folder: str,
    model: str,
    seed: int,
) -> Figures:
    """The figures of a clip; compared with the dense one where there is one."""
    figures = Figures(
        folder=folder,
        model=model,
        seed=seed,
        frames=scene.frames,
        width=scene.width,
        height=scene.height,
        steps=scene.steps,
        tweak_index=scene.tweak_index,
        tstrong_index=scene.tstrong_index,
        masked_fraction=scene.masked_fraction,
        kept_fraction=clip.kept_fraction,
        denoising_seconds=clip.seconds,
    )
    if dense is None:
        return figures
    equal = torch.equal(clip.pixels, dense.pixels)
    return attrs.evolve(
        figures,
        dense_denoising_seconds=dense.seconds,
        speedup=dense.seconds / clip.seconds,
        psnr_to_dense=None if equal else psnr(clip.pixels, dense.pixels),
        **_warp_errors(scene, clip, dense),
    )


def _warp_errors(scene: MotionScene, clip: MotionClip, dense: MotionClip) -> dict[str, Any]:
    from lipar.metrics.warp_error import FLOW_METHOD, warp_error

    if scene.frames < 2:
        return {}
    try:
        return {
            "warp_error": warp_error(clip.pixels, scene.motion),
            "dense_warp_error": warp_error(dense.pixels, scene.motion),
            "flow_method": FLOW_METHOD,
        }
    except ModuleNotFoundError:
        return {}


def summarise(figures: Figures, output: Path, *, computed_all: bool) -> list[str]:
    """The lines that `lipar ttm` prints at the end."""
    first, kept = max(figures.tweak_index, 0), figures.kept_fraction
    step_seconds = figures.denoising_seconds / (figures.steps - first)
    start = " from pure noise" if figures.tweak_index < 0 else ""
    lines = [
        f"{figures.folder} -> {output}: {counted(figures.frames, 'frame')} of {figures.width}x{figures.height} with "
        f"{figures.model}, seed {figures.seed}",
        f"steps {first} to {figures.steps} of {figures.steps}{start}; the masked region "
        f"({100 * figures.masked_fraction:.0f} %) free from step {figures.tstrong_index}",
        "computed every token (--dense)"
        if computed_all
        else f"kept {100 * kept:.1f} % of the tokens, skipped {100 * (1 - kept):.1f} %",
        f"denoising took {figures.denoising_seconds:.2f} s, {step_seconds:.3f} s a step",
    ]
    if figures.speedup is not None:
        near = (
            "equal to dense"
            if figures.psnr_to_dense is None
            else f"PSNR to dense {figures.psnr_to_dense:.1f} dB"
        )
        ratio = figures.speedup
        speed = f"{ratio:.2f}x faster" if ratio >= 1 else f"{1 / ratio:.2f}x slower"
        lines.append(
            f"denoising {speed} than computing every token "
            f"({figures.dense_denoising_seconds:.2f} s; one run of each, so its spread is not known); {near}"
        )
        if figures.warp_error is None or figures.dense_warp_error is None:
            lines.append(
                "warp error not measured: it needs OpenCV (pip install 'lipar[measure]') and two frames"
            )
        else:
            lines.append(
                f"warp error x 1000: dense {1000 * figures.dense_warp_error:.1f}, "
                f"pruned {1000 * figures.warp_error:.1f} along the motion video's {figures.flow_method}"
            )
    return lines
