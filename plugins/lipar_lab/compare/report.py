"""The report of `lipar compare -o`: a page for each clip, written when its runs are finished."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from lipar.files.owner import Outputs
from lipar_lab.compare.clip_report import ClipReport
from lipar_lab.compare.comparison import Comparison
from lipar_lab.compare.figures import Figures
from lipar_lab.compare.index_page import index_of
from lipar_lab.compare.page import page_of
from lipar_lab.compare.report_folder import ReportFolder

LARGE = 50 * 10**6
"""Bytes of a page above which a smaller one is suggested."""


@attrs.define(eq=False, kw_only=True)
class Report:
    """The pages of one call."""

    folder: ReportFolder
    figures: Figures
    page_height: int | None
    _written: list[tuple[Path, list[Comparison]]] = attrs.field(factory=list)

    @classmethod
    def planned(
        cls, folder: Path, clips: Sequence[Path], metrics: str | None, page_height: int | None
    ) -> "Report":
        """A report whose figures can be measured and whose files can be written.

        Args:
            folder: of the pages.
            clips: one page each.
            metrics: keys of `lipar.metrics.table.METRICS`, separated by commas; None: the usual ones.
            page_height: of the videos; None: as processed.

        Raises:
            ValueError: there is no such figure, or it needs a package that is not installed.
            VideoError: a file cannot be written.
        """
        names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
        try:
            figures = Figures.chosen(names)
        except (LookupError, ModuleNotFoundError) as error:
            raise ValueError(f"--metrics {metrics}: {error.args[0]}") from error
        return cls(folder=ReportFolder(folder, clips), figures=figures, page_height=page_height)

    def write(
        self,
        clip: ClipReport,
        rows: Sequence[Comparison],
        outputs: Outputs,
        *,
        prompt: str,
        provenance: Mapping[str, str],
    ) -> list[str]:
        """Write the page of a finished clip, and after the last one the index; gives lines for the terminal.

        Args:
            clip: all of whose runs were added.
            rows: its rows.
            outputs: the owner of the files.
            prompt: of all runs.
            provenance: as `lipar.page.provenance` gives it.
        """
        page = self.folder.pages[len(self._written)]
        text = page_of(clip.content(prompt, provenance), self.figures)
        outputs.rewrite(page, text)
        self._written.append((page, list(rows)))
        lines = [f"wrote {page}, {len(text) / 1e6:.1f} MB"]
        if len(text) > LARGE:
            lines.append(
                f"{page.name} is large for a browser; a smaller --page-height makes it smaller, and the runs are kept"
            )
        if self.folder.index is not None and len(self._written) == len(self.folder.pages):
            written = [(path.name, found) for path, found in self._written]
            outputs.rewrite(self.folder.index, index_of(written, prompt, provenance))
            lines.append(f"wrote {self.folder.index}")
        return lines
