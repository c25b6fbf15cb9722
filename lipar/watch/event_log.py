"""The events of an edit for programs: one JSON object per line, written as soon as it happens."""

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.config import Config
from lipar.events import EditOptions, EditReport, Span
from lipar.files.locks import GrowingFile
from lipar.hookspecs import hookimpl
from lipar.job import RestoredBlock
from lipar.plugin.installed import Plugin
from lipar.protocols import Model
from lipar.watch.stages import seconds_per_stage


@attrs.define
class EventLog:
    """A plugin that writes JSON lines; `event` is `begin`, `block` or `end`.

    Args:
        path: an existing file is replaced when the edit begins; refused while another run writes there.
        plugins: those of the run, whose versions are logged.
    """

    path: Path
    plugins: Sequence[Plugin] = ()
    _blocks: int = attrs.field(init=False, default=0)
    _file: GrowingFile = attrs.field(
        init=False, default=attrs.Factory(lambda self: GrowingFile(self.path), takes_self=True)
    )

    def _write(self, event: str, **values: Any) -> None:
        record = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        line = (json.dumps(record, default=str) + "\n").encode()
        if event == "begin":
            self._file.begin(line)
        else:
            self._file.append(line)

    @hookimpl
    def lipar_edit_begun(
        self, config: Config, options: EditOptions, model: Model, frames: int | None
    ) -> None:
        """Log versions, device, options and config."""
        from lipar import __version__

        self._write(
            "begin",
            versions={
                "lipar": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                **{
                    str(p.name): p.version
                    for p in self.plugins
                    if p.error is None and p.distribution != "lipar"
                },
            },
            device=str(model.device),
            dtype=str(model.dtype).removeprefix("torch."),
            frames=frames,
            options=attrs.asdict(options),
            config=attrs.asdict(config),
        )

    @hookimpl
    def lipar_block_written(self, block: RestoredBlock, pixel_frames: int, spans: Sequence[Span]) -> None:
        """Log a block, with the seconds per stage since the block before."""
        layout = block.layout
        self._write(
            "block",
            block=self._blocks,
            first_frame=block.first_frame,
            frames=layout.grid[0],
            pixel_frames=pixel_frames,
            kept=layout.kept_count,
            tokens=layout.token_count,
            kept_fraction=layout.kept_fraction,
            scene_begins=block.cut is not None,
            seconds={stage: round(seconds, 6) for stage, seconds in seconds_per_stage(spans).items()},
            pruned_seconds=block.seconds,
            dense_seconds=block.dense_seconds,
        )
        self._blocks += 1

    @hookimpl
    def lipar_edit_ended(self, report: EditReport | None, error: BaseException | None) -> None:
        """Log how the edit ended."""
        self._write(
            "end",
            error=None if error is None else f"{type(error).__name__}: {error}",
            report=None if report is None else attrs.asdict(report),
        )
        self._file.end()
