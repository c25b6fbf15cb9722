"""The folder of a report: its pages, its record, and how they are written."""

import re
from collections.abc import Sequence
from pathlib import Path

from lipar.files.owner import Outputs
from lipar.files.places import check_writable
from lipar.video.errors import explain

INDEX = "index.html"


class ReportFolder:
    """The pages of a report, one for each clip, and a folder `record` from which an interrupted run continues.

    Nothing is written before `claim`, except for the folders.

    Args:
        folder: made if it is missing.
        clips: in the order of the pages.

    Raises:
        VideoError: a file cannot be written there.
    """

    def __init__(self, folder: Path, clips: Sequence[Path]) -> None:
        try:
            (folder / "record").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, folder) from error
        self.record = check_writable(folder / "record" / "rows.json", suffixes=(".json",))
        """The JSON file of finished rows."""
        names = [INDEX] if len(clips) == 1 else page_names(clips)
        self.pages = [check_writable(folder / name, suffixes=(".html",)) for name in names]
        """The page of each clip."""
        self.index = None if len(clips) == 1 else check_writable(folder / INDEX, suffixes=(".html",))
        """A page that links to the others; None: there is only one page."""

    @property
    def runs(self) -> Path:
        """Where finished runs are kept."""
        return self.record.parent

    def claim(self, outputs: Outputs) -> None:
        """Keep other runs from writing these pages.

        Args:
            outputs: the owner.
        """
        for page in [*self.pages, *([] if self.index is None else [self.index])]:
            outputs.claim(page)


def page_names(clips: Sequence[Path]) -> list[str]:
    """A name for the page of each clip, in letters that need no escaping in a link.

    Args:
        clips: two may have the same name.
    """
    names: list[str] = []
    for number, clip in enumerate(clips, 1):
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", clip.stem).strip("-")[:80] or "clip"
        name = f"{plain}.html"
        names.append(f"{number}-{name}" if name == INDEX or name in names else name)
    return names
