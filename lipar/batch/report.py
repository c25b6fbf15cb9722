"""The report of a batch: a line for each clip, as CSV, as Parquet where pyarrow is installed, and as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lipar.batch.page import page_of
from lipar.batch.recipe import Outcome
from lipar.batch.rows import ClipRow
from lipar.files.owner import Outputs
from lipar.files.tables import Flat, csv_text, has_parquet, write_parquet
from lipar.video.errors import explain

NAME = "batch"
"""The files of the report are `batch.csv`, `batch.parquet` and `batch.html`."""
NOT_REACHED = "not reached"
"""State of a clip of which nothing is known, since the run was interrupted."""
_NUMBERS = (
    *("frames", "blocks", "kept_fraction", "steady_kept_fraction", "seconds"),
    *("speedup", "dense_seconds", "probe_seconds"),
)
"""Fields of `EditReport` that become a column each."""


def lines_of(rows: Sequence[ClipRow], outcomes: Sequence[Outcome]) -> list[Flat]:
    """A line for each clip, in the order of the rows.

    Args:
        rows: all clips.
        outcomes: of those that were reached.
    """
    known = {outcome.row.output: outcome for outcome in outcomes}
    return [_line(row, known.get(row.output)) for row in rows]


def _line(row: ClipRow, outcome: Outcome | None) -> Flat:
    line: dict[str, str | int | float | None] = {
        "clip": str(row.source),
        "prompt": " | ".join(map(str, row.prompts.entries))
        if len(row.prompts.entries) > 1
        else row.prompts.entries[0].text,
        "seed": row.config.seed,
        "output": str(row.output),
        "settings": row.settings or None,
        "state": NOT_REACHED if outcome is None else outcome.state,
        "error": None if outcome is None else outcome.error,
    }
    record = None if outcome is None else outcome.record
    report = None if outcome is None else outcome.report
    # all columns stand in every line, so that a report does not depend on which clip comes first
    line |= {name: None if report is None else report[name] for name in _NUMBERS}
    for side, name in (("source", "source_size"), ("processed", "processed_size")):
        size = (None, None) if report is None else report[name]
        line |= {f"{side}_width": size[0], f"{side}_height": size[1]}
    low, high = (None, None) if report is None else report["speedup_range"] or (None, None)
    line |= {"speedup_low": low, "speedup_high": high}
    line["speedup_verdict"] = None if report is None else report["speedup_verdict"]
    line["scene_cuts"] = None if report is None else " ".join(map(str, report["scene_cuts"]))
    stages: Mapping[str, float] = {} if report is None else report["stage_seconds"]
    line |= {f"time {stage}": seconds for stage, seconds in stages.items()}
    line |= dict(record.figures) if record is not None else {}
    line["pieces"] = None if record is None else record.pieces
    line["total_seconds"] = None if record is None else record.seconds
    line["worker"] = None if record is None else record.worker
    line["attempts"] = None if record is None else record.attempts
    return line


def write_report(
    folder: Path, lines: Sequence[Flat], metrics: Sequence[str], made_with: Mapping[str, str]
) -> list[Path]:
    """Write the report; its files get their names together.

    Args:
        folder: of the results.
        lines: see `lines_of`.
        metrics: figures that were asked for.
        made_with: see `lipar.page.provenance`.

    Returns:
        The files.

    Raises:
        VideoError: one cannot be written.
    """
    suffixes = (".csv", *([".parquet"] if has_parquet() else []), ".html")
    paths = [folder.resolve() / f"{NAME}{suffix}" for suffix in suffixes]
    with Outputs() as outputs:
        try:
            for path in paths:
                unfinished = outputs.claim(path)
                if path.suffix == ".parquet":
                    write_parquet(unfinished, lines)
                else:
                    text = csv_text(lines) if path.suffix == ".csv" else page_of(lines, metrics, made_with)
                    unfinished.write_text(text, "utf-8", newline="")
        except OSError as error:
            raise explain(error, folder) from error
        outputs.publish()
    return [folder / path.name for path in paths]
