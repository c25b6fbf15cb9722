"""Warnings of a video that is read to its end."""

import warnings
from pathlib import Path

from lipar.video import VideoReader


def warned(path: Path) -> list[str]:
    """Messages of all warnings while a video is opened and read to its end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with VideoReader(path) as reader:
            list(reader)
    return [str(warning.message) for warning in caught]
