"""The part of `lipar bench` that calibrates: what `lipar bench --calibrate` runs."""

from pathlib import Path

from lipar.cli.host import plugin_host
from lipar.cli.output import say
from lipar.config import Config
from lipar.editing.model import pick_device, pick_dtype
from lipar.editing.source import SYNTHETIC_SIZE, model_size
from lipar.engines.engine import check_device
from lipar.plugin.compatibility import check_config
from lipar_lab.plan.calibrate import calibrate
from lipar_lab.plan.calibration import Calibration, CalibrationError
from lipar_lab.plan.memory import Loading
from lipar_lab.plan.prediction import Predictor
from lipar_lab.plan.run import model_for_masks
from lipar_lab.plan.store import calibration_path
from lipar_lab.plan.text import calibration_lines, measured_lines

REPEATS = 3
"""Rounds where `--repeats` was not typed."""


def run_calibration(
    config: Config,
    *,
    resolution: tuple[int, int] | None,
    device: str | None,
    dtype: str | None,
    repeats: int | None,
    calibration: Path | None,
) -> Calibration:
    """Measure, store, and print.

    Args:
        config: names the model and its parts.
        resolution: width and height to process at, in pixels; None: the model's own area, four to three.
        device: a name; None: CUDA if there is a device.
        dtype: a name; None: bfloat16 on CUDA, else float32.
        repeats: rounds; None: `REPEATS`.
        calibration: the file; None: that of `calibration_path`.

    Raises:
        ConfigError: parts do not fit together or the model.
        CalibrationError: nothing is denoised at strength 0, or the file cannot be read.
    """
    host = plugin_host()
    adapter = check_config(host, config)
    if config.strength == 0:
        raise CalibrationError(
            "strength 0 denoises nothing, so that there is nothing to measure; leave it out"
        )
    torch_device = pick_device(device)
    check_device(config.run.engine, torch_device)
    torch_dtype = pick_dtype(dtype, torch_device)
    size = resolution or model_size(model_for_masks(adapter, torch_device, torch_dtype), SYNTHETIC_SIZE)
    loading = Loading(config=config, device=str(torch_device), dtype=str(torch_dtype).removeprefix("torch."))
    path = calibration_path(calibration)
    made = calibrate(loading, size, path, host=host, repeats=repeats or REPEATS)
    say(*measured_lines(made), *calibration_lines(made, Predictor(made, 1)), f"stored in {path}")
    return made
