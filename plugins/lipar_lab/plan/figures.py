"""A plan as values that JSON can store."""

from typing import Any

import attrs

from lipar_lab.plan.check import Check
from lipar_lab.plan.clip import ClipPlan
from lipar_lab.plan.prediction import Prediction, Predictor


def clip_figures(plan: ClipPlan) -> dict[str, Any]:
    """The blocks of a clip, in numbers.

    Args:
        plan: of the clip.
    """
    return {
        "clip": str(plan.path),
        "size": [*plan.size],
        "source_size": [*plan.shown_size],
        "pixel_frames": plan.pixel_frames,
        "kept_fraction": plan.kept_fraction,
        "kept_after_first": plan.kept_after_first,
        "blocks": [{**attrs.asdict(block), "kept_fraction": block.kept_fraction} for block in plan.blocks],
    }


def prediction_figures(prediction: Prediction, predictor: Predictor) -> dict[str, Any]:
    """Seconds of the blocks and of the whole, memory, and how well the fits hold.

    Args:
        prediction: of a clip.
        predictor: what made it.
    """
    calibration = predictor.calibration
    return {
        "predicted": {
            "seconds": prediction.seconds,
            "frames_per_second": prediction.frames_per_second,
            "dense_seconds": prediction.dense_seconds,
            "dense_frames_per_second": prediction.dense_frames_per_second,
            "speedup": prediction.speedup,
            "whole_speedup": prediction.whole_speedup,
            "peak_bytes": prediction.peak_bytes,
            "dense_peak_bytes": prediction.dense_peak_bytes,
            "warm_up": prediction.warm_up,
            "load": calibration.load,
            "denoise_steps": predictor.steps,
            "blocks": [attrs.asdict(block) for block in prediction.blocks],
            "dense_blocks": [attrs.asdict(block) for block in prediction.dense],
        },
        "calibration": {
            "key": attrs.asdict(calibration.key),
            "machine": calibration.machine,
            "fits": {
                name: {"form": fit.form, "errors": {form: [*errors] for form, errors in fit.errors.items()}}
                for name, fit in predictor.fits.items()
            },
        },
    }


def check_figures(check: Check) -> dict[str, Any]:
    """Predicted versus measured.

    Args:
        check: of a clip.
    """
    return {
        "measured": {**attrs.asdict(check.measured), "seconds": check.measured.seconds},
        "same_tokens": check.same_tokens,
        "error": check.error,
        "transformer_error": check.transformer_error,
        "memory_error": check.memory_error,
        "slower_now": check.slower_now,
        "error_at_this_speed": check.error_at_this_speed,
    }
