"""What all clips of a batch share, and what became of one of them. Both are sent between processes."""

from collections.abc import Sequence
from typing import Any, Literal

import attrs

from lipar.batch.record import Record
from lipar.batch.rows import ClipRow
from lipar.events import EditOptions


@attrs.frozen(kw_only=True)
class Recipe:
    """What all clips of a batch share."""

    options: EditOptions
    """Source, output and prompts are those of each clip."""
    device: str | None = None
    """None: CUDA where a worker has a device."""
    dtype: str | None = None
    """None: bfloat16 on CUDA, else float32."""
    metrics: tuple[str, ...] = ()
    """Names of `lipar.metrics.table.METRICS` to measure of every result."""
    retry_failed: bool = False
    """Whether a clip that failed is tried again although nothing of it has changed."""
    split: bool = False
    """Whether clips are edited in pieces that begin at scene cuts, where that gives the same result."""
    own_plugins_only: bool = False

    def options_of(self, row: ClipRow) -> EditOptions:
        """The options of the edit of one clip.

        Args:
            row: the clip.
        """
        first, *later = row.prompts.entries
        return attrs.evolve(
            self.options,
            source=row.source,
            output=row.output,
            prompt=first.text,
            memory_checked=True,
            later_prompts=tuple(later),
        )


@attrs.frozen
class Help:
    """A task for a worker that has no clip of its own: edit pieces of clips that others own."""

    rows: tuple[ClipRow, ...]


State = Literal["edited", "there", "failed", "failed before"]


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of a clip."""

    row: ClipRow
    state: State
    """`there`: finished by an earlier run, of the same; `failed before`: an earlier run failed on the same, and it was
    not tried again."""
    error: str | None = None
    """Why it failed, in a line."""
    record: Record | None = None
    """What is known of it; None where even that could not be read or written."""
    warnings: Sequence[str] = ()
    """Texts of warnings that came with it, of a worker whose own would not be seen."""

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.error is not None

    @property
    def report(self) -> dict[str, Any] | None:
        """The fields of `lipar.events.EditReport`; None: there is no result."""
        found = None if self.record is None or self.failed else self.record.report
        return None if found is None else dict(found)
