"""`lipar bench --calibrate`: measure what `lipar plan` needs, and store it."""

import time
from pathlib import Path
from statistics import median

import torch
from tqdm import tqdm

from lipar.config import Config
from lipar.editing.source import check_resolution
from lipar.engines.engine import make_engine
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_streaming_adapter
from lipar.protocols import Model
from lipar.spec import NO_AUTOENCODER
from lipar_lab.plan.calibration import Calibration, machine_now
from lipar_lab.plan.key import CalibrationKey
from lipar_lab.plan.measure import PROMPT, block_count, measure_stages
from lipar_lab.plan.memory import MEMORY_SHARES, Loading, Peak, in_new_process, load_and_peak, peak_of
from lipar_lab.plan.store import CalibrationFile


def calibrate(
    loading: Loading,
    size: tuple[int, int],
    path: Path,
    *,
    host: PluginHost,
    repeats: int,
    quiet: bool = False,
) -> Calibration:
    """Load the model, measure, and store the record in place of an older one with its key.

    Args:
        loading: config, device and type.
        size: width and height to process at, in pixels.
        path: the file of calibrations.
        host: the plugins.
        repeats: rounds in which all numbers of kept tokens are timed.
        quiet: show no progress bar.

    Raises:
        ValueError: the size does not fit the model, or it has no autoencoder.
        CalibrationError: the file cannot be read.
    """
    CalibrationFile(path).read()  # what cannot be stored is refused before the work
    adapter, device = make_streaming_adapter(host, loading.config), torch.device(loading.device)
    start = time.perf_counter()
    model = adapter.load(device, getattr(torch, loading.dtype))
    seconds = time.perf_counter() - start
    peaks = None
    if device.type == "cpu":
        peaks = [in_new_process(load_and_peak, loading, size, share) for share in MEMORY_SHARES]
    calibration = calibrate_model(
        model, loading.config, size, host=host, repeats=repeats, load=seconds, peaks=peaks, quiet=quiet
    )
    CalibrationFile(path).put(calibration)
    return calibration


def calibrate_model(
    model: Model,
    config: Config,
    size: tuple[int, int],
    *,
    host: PluginHost,
    repeats: int,
    load: float,
    peaks: list[Peak] | None = None,
    quiet: bool = False,
) -> Calibration:
    """The calibration of a loaded model.

    Args:
        model: with an autoencoder.
        config: names and numbers of the run.
        size: width and height to process at, in pixels.
        host: the plugins.
        repeats: rounds.
        load: seconds that loading the model took.
        peaks: of `peak_of` in processes of their own; None: they are measured in this one.
        quiet: show no progress bar.

    Raises:
        ValueError: the size does not fit the model, or it has no autoencoder.
    """
    if model.autoencoder is None:
        raise ValueError(NO_AUTOENCODER)
    check_resolution(size, model, model.autoencoder)
    model.set_prompt(PROMPT)
    total = block_count(model, config, repeats)
    with torch.no_grad(), tqdm(total=total, unit="block", desc="calibrate", disable=quiet or None) as bar:
        times = measure_stages(model, config, size, host=host, repeats=repeats, done=bar.update)
        firsts = [times.warm_first, *(peak.first for peak in peaks or ())]
        if peaks is None:
            peaks = [peak_of(model, config, size, share, host=host) for share in MEMORY_SHARES]
    engine = make_engine(model, config.run.engine).name
    return Calibration(
        key=CalibrationKey.of(config, size, model.device, model.dtype, engine),
        machine=machine_now(model.device, model.dtype),
        block_frames=model.block_frames,
        load=load,
        memory=tuple(peak.point for peak in peaks),
        cache_row_bytes=peaks[0].row_bytes,
        memory_rows=peaks[0].rows,
        warm_up=max(median(firsts) - times.later_first, 0.0),
        tokens=times.tokens,
        samples=times.samples,
        encode_first=times.encode_first,
        encode=times.encode,
        decode_first=times.decode_first,
        mask=times.mask,
        nothing_kept=times.nothing_kept,
    )
