"""Where the sound of a written video comes from."""

from fractions import Fraction
from pathlib import Path

import attrs


@attrs.frozen
class Sound:
    """Sound and subtitles of a file, or of a part of it; times in seconds on the clock of the file's frames."""

    path: Path
    begin: Fraction | None = None
    """What is written as 0; None: the file's own clock is kept, and nothing before is left out."""
    end: Fraction | None = None
    """What begins then or later is left out; None: nothing."""

    @classmethod
    def of(cls, given: "Sound | str | Path") -> "Sound":
        """The whole of a file, where it is a path.

        Args:
            given: a path or a part of a file's sound.
        """
        return given if isinstance(given, Sound) else cls(Path(given))
