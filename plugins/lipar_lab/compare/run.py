"""The parts of `lipar compare` that need torch."""

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
from lipar.page import provenance
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar_lab.compare.clip_report import ClipReport
from lipar_lab.compare.comparison import Comparison, near_of, speed_of
from lipar_lab.compare.fingerprint import weights_digest
from lipar_lab.compare.finished_runs import RunFolder
from lipar_lab.compare.record import ComparisonRecord
from lipar_lab.compare.report import Report
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
    report: Report | None = None,
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
        report: writes a page for each clip, and needs `json_file`; None: there are no pages.
    """
    host = plugin_host()
    adapters = [check_config(host, config) for config in configs.values()]
    first = next(iter(configs.values()))
    with loading(f"the model {first.adapter.name}"):
        model = adapters[0].load(pick_device(device), torch.float32)
    record, runs, written = None, None, list[str]()
    if json_file is not None:
        record = ComparisonRecord(json_file, outputs, _taken_on(model, host, prompt, first))
        runs = None if report is None else RunFolder(report.folder.runs, record)
    model.set_prompt(prompt)
    say(
        "| clip | pruning | scene cuts | kept | speed-up, clean pass included | PSNR to dense |",
        f"{'| --- ' * 6}|",
    )
    rows = 0
    for clip in clips:
        page = None if report is None else ClipReport(model, clip, report.figures, report.page_height)
        found = []
        for row in compare_clip(
            model,
            clip,
            configs,
            host=host,
            random=random,
            record=record,
            runs=runs,
            show=None if page is None else page.add,
        ):
            found.append(row)
            say(line_of(row))
        rows += len(found)
        if report is not None and page is not None:
            made = provenance(model.device, model.dtype, plugins=host.plugins)
            written += report.write(page, found, outputs, prompt=prompt, provenance=made)
    if record is not None and record.found:
        say(f"{record.found} of {counted(rows, 'row')} had been kept in {record.path.name}")
    say(*written)


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
    cuts = f"{len(row.scene_cuts)} (at {', '.join(map(str, row.scene_cuts))})" if row.scene_cuts else "none"
    kept = f"{100 * row.kept_fraction:.0f} %"
    return f"| {row.clip} | {row.variant} | {cuts} | {kept} | {speed_of(row)} | {near_of(row)} |"
