"""One clip of a batch."""

from pathlib import Path

import attrs

from lipar.config import Config
from lipar.prompts import PromptSchedule


@attrs.frozen(kw_only=True)
class ClipRow:
    """What is different from clip to clip."""

    source: Path
    output: Path
    prompts: PromptSchedule
    config: Config
    settings: str = ""
    """What the row sets of the config, as `--set` takes it, separated by semicolons; for the report."""
    where: str = ""
    """Where it was read, such as `clips.csv, line 3`; empty: named on the command line."""
