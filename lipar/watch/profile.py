"""Time per stage of an edit: a table, and a trace that opens in Perfetto (ui.perfetto.dev)."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from lipar.events import MODEL_THREAD, Span
from lipar.files.locks import GrowingFile
from lipar.hookspecs import hookimpl
from lipar.job import RestoredBlock
from lipar.watch.stages import PROBE, WAITS


@attrs.define
class _Row:
    """Sums over the spans of one stage."""

    seconds: float = 0.0
    calls: int = 0
    longest: float = 0.0

    def add(self, span: Span) -> None:
        self.seconds += span.seconds
        self.calls += 1
        self.longest = max(self.longest, span.seconds)


@attrs.define
class Profile:
    """A plugin that adds up the time of every stage and, where asked, writes each span to a Chrome trace.

    The trace is a JSON array of events, in microseconds, one row per thread: the model's, nested block > stage > step,
    those that read and write, and one with the times in which the host waited for these two. The kept fraction is a
    counter. It is written block by block; the format allows the end of the array to be missing, so that the trace of an
    interrupted edit can be opened as well.

    Args:
        trace: where to write it, refused while another run writes there; None: only the table.
    """

    trace: Path | None = None
    _rows: dict[str, _Row] = attrs.field(init=False, factory=dict)
    _first: float | None = attrs.field(init=False, default=None)
    _last: float = attrs.field(init=False, default=0.0)
    _blocks: int = attrs.field(init=False, default=0)
    _file: GrowingFile | None = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: None if self.trace is None else GrowingFile(self.trace), takes_self=True
        ),
    )

    @hookimpl
    def lipar_edit_begun(self) -> None:
        """Begin the trace."""
        if self._file is not None:
            titles = [_title("process_name", "lipar edit")]
            titles += [_title("thread_name", name, row) for name, row in _TRACE_ROWS.items()]
            self._file.begin(("[\n" + ",\n".join(map(json.dumps, titles))).encode())

    @hookimpl
    def lipar_block_written(self, block: RestoredBlock, spans: Sequence[Span]) -> None:
        """Add a block's spans to the table and the trace."""
        self._add(spans)
        layout = block.layout
        about = {
            "first_frame": block.first_frame,
            "kept_tokens": layout.kept_count,
            "tokens": layout.token_count,
            "scene_begins": not layout.has_history,
        }
        own = [span for span in spans if _row_of(span) == MODEL_THREAD]
        events = _nested(spans)
        if own:
            begin, end = min(span.start for span in own), max(span.end for span in own)
            kept = {"kept fraction": layout.kept_fraction}
            events = [
                _event(f"block {self._blocks}", begin, end, MODEL_THREAD, about),
                {"ph": "C", "pid": 1, "name": "kept", "ts": round(1e6 * begin, 1), "args": kept},
                *events,
            ]
        self._write(events)
        self._blocks += 1

    @hookimpl
    def lipar_edit_ended(self, spans: Sequence[Span]) -> None:
        """Add the last spans and close the trace."""
        self._add(spans)
        self._write(_nested(spans), end="\n]\n")
        if self._file is not None:
            self._file.end()

    def _add(self, spans: Sequence[Span]) -> None:
        for span in spans:
            self._rows.setdefault(span.stage, _Row()).add(span)
            self._first = span.start if self._first is None else min(self._first, span.start)
            self._last = max(self._last, span.end)

    def _write(self, events: Iterable[dict[str, Any]], end: str = "") -> None:
        if self._file is not None:
            self._file.append(("".join(f",\n{json.dumps(event)}" for event in events) + end).encode())

    def table(self) -> str:
        """Stages by their share of the time from the first span to the last; threads overlap, so they exceed it."""
        whole = self._last - (self._first or 0.0)
        lines = [f"{'stage':<20}{'share':>8}{'total s':>10}{'calls':>8}{'mean ms':>10}{'max ms':>10}"]
        for stage, row in sorted(self._rows.items(), key=lambda item: -item[1].seconds):
            lines.append(
                f"{stage:<20}{_share(row.seconds, whole):>8}{row.seconds:>10.2f}{row.calls:>8}"
                f"{1000 * row.seconds / row.calls:>10.2f}{1000 * row.longest:>10.2f}"
            )
        lines.append(f"{'whole':<20}{'':>8}{whole:>10.2f}  (reading and writing overlap with the rest)")
        if PROBE in self._rows:
            what = "blocks run with every token kept, clean pass included, to measure the speed-up"
            lines.append(f"({PROBE}: {what})")
        return "\n".join(lines)


_WAITING = "waiting"
_TRACE_ROWS = {name: row for row, name in enumerate((MODEL_THREAD, "reading", "writing", _WAITING), start=1)}
"""Number of each row of the trace."""


def _row_of(span: Span) -> str:
    # on a GPU the host waits while the device works, so that these spans do not nest with the model's
    return _WAITING if span.stage in WAITS else span.thread


def _share(seconds: float, whole: float) -> str:
    return f"{100 * seconds / whole:.1f} %" if whole else "-"


def _nested(spans: Iterable[Span]) -> list[dict[str, Any]]:
    """Events of stages, and of the steps within stages that have several passes."""
    events = []
    by_row = sorted(spans, key=lambda span: _TRACE_ROWS.get(_row_of(span), 0))
    for (row, stage), group in groupby(by_row, key=lambda span: (_row_of(span), span.stage)):
        passes = list(group)
        if passes[0].step is None:
            events += [_event(stage, span.start, span.end, row) for span in passes]
            continue
        events.append(_event(stage, passes[0].start, passes[-1].end, row))
        for span in passes:
            name = "clean" if span.step == -1 else f"step {span.step}"
            events.append(_event(name, span.start, span.end, row, {"step": span.step}))
    return events


def _event(
    name: str, start: float, end: float, row: str, about: dict[str, Any] | None = None
) -> dict[str, Any]:
    times = {"ts": round(1e6 * start, 1), "dur": round(1e6 * (end - start), 1)}
    return {"ph": "X", "pid": 1, "tid": _TRACE_ROWS.get(row, 0), "name": name, **times, "args": about or {}}


def _title(kind: str, name: str, row: int = 0) -> dict[str, Any]:
    return {"ph": "M", "pid": 1, "tid": row, "name": kind, "args": {"name": name}}
