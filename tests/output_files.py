"""Output files of a run, as tests of several modules write and list them."""

from pathlib import Path

from lipar.files.owner import Outputs


def names(folder: Path) -> list[str]:
    """The names of a folder's files, sorted."""
    return sorted(path.name for path in folder.iterdir())


def write_both(folder: Path, text: str = "new") -> None:
    """Write and publish `out.mp4` and `overlay.mp4`."""
    with Outputs() as outputs:
        for name in ("out.mp4", "overlay.mp4"):
            outputs.claim(folder / name).write_text(text)
        outputs.publish()
