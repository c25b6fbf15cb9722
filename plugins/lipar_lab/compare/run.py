"""The parts of `lipar compare` that need torch."""

import math
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.cli.host import plugin_host
from lipar.cli.loading import loading
from lipar.cli.output import say
from lipar.config import Config
from lipar.editing.model import pick_device
from lipar.files.owner import Outputs
from lipar.messages import counted
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar_lab.compare.comparison import Comparison
from lipar_lab.compare.fingerprint import weights_digest
from lipar_lab.compare.record import ComparisonRecord
from lipar_lab.compare.rows import compare_clip


def compare_clips(
    clips: Sequence[Path],
    prompt: str,
    configs: dict[str, Config],
    outputs: Outputs,
    *,
    random: bool,
    json_file: Path | None,
    device: str | None,
) -> None:
    """Compare clip by clip, and print each row when it is done.

    Args:
        clips: paths.
        prompt: for all clips.
        configs: name of the variant -> config; all with the same adapter.
        outputs: owns the JSON file.
        random: whether random pruning at the same rate is a row, too.
        json_file: where finished rows are written; None: they are only printed.
        device: by name; None: CUDA if there is a device.
    """
    host = plugin_host()
    adapters = [check_config(host, config) for config in configs.values()]
    first = next(iter(configs.values()))
    with loading(f"the model {first.adapter.name}"):
        model = adapters[0].load(pick_device(device), torch.float32)
    record = None
    if json_file is not None:
        record = ComparisonRecord(json_file, outputs, _taken_on(model, host, prompt, first))
    model.set_prompt(prompt)
    say(
        "| clip | pruning | scene cuts | kept | speed-up, clean pass included | PSNR to dense |",
        f"{'| --- ' * 6}|",
    )
    rows = 0
    for clip in clips:
        for row in compare_clip(model, clip, configs, host=host, random=random, record=record):
            rows += 1
            say(line_of(row))
    if record is not None and record.found:
        say(f"{record.found} of {counted(rows, 'row')} had been kept in {record.path.name}")


def _taken_on(model: Model, host: PluginHost, prompt: str, first: Config) -> dict[str, Any]:
    """What every row depends on in addition to its clip and config; random pruning also on the first variant."""
    return {
        "weights": weights_digest(model, model.autoencoder),
        "prompt": prompt,
        "first": attrs.asdict(first),
        "device": f"{model.device} {model.dtype}",
        "machine": platform.node(),
        "versions": [f"lipar {version('lipar')}", f"torch {torch.__version__}"],
        "plugins": [str(plugin) for plugin in host.plugins if plugin.error is None and not plugin.disabled],
    }


def line_of(row: Comparison) -> str:
    """A row of the table, as Markdown."""
    near = f"{row.psnr:.1f} dB" if math.isfinite(row.psnr) else "equal"
    cuts = f"{len(row.scene_cuts)} (at {', '.join(map(str, row.scene_cuts))})" if row.scene_cuts else "none"
    kept = f"{100 * row.kept_fraction:.0f} %"
    return f"| {row.clip} | {row.variant} | {cuts} | {kept} | {_speed(row)} | {near} |"


def _speed(row: Comparison) -> str:
    if row.speedup_range is None or row.speedup_verdict == "too short":
        return "too short"
    spread = "({:.2f}..{:.2f})".format(*row.speedup_range)
    return f"too noisy {spread}" if row.speedup is None else f"{row.speedup:.2f}x {spread}"
