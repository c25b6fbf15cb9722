"""An edit of a toy model under watching plugins."""

import json
from pathlib import Path

from lipar.config import Config, build_config
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport
from lipar.hookspecs import hookimpl
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel

FRAMES = 26  # two blocks of the toy model and a bit


class Remember:
    """Keeps what it is told."""

    def __init__(self):
        self.blocks, self.spans, self.ended = [], [], []

    @hookimpl
    def lipar_block_written(self, block, pixel_frames, spans):
        self.blocks.append((block, pixel_frames))
        self.spans.append(spans)

    @hookimpl
    def lipar_edit_ended(self, report, error, spans):
        self.ended.append((report, error))
        self.spans.append(spans)


class Stop:
    """Ends the edit in its second block."""

    def __init__(self, error):
        self.error = error

    @hookimpl
    def lipar_restore(self, layout):
        if layout.first_frame >= 3:
            raise self.error


def edit(
    folder: Path, *watchers: object, config: Config | None = None, frames: int = FRAMES, **options: object
) -> EditReport:
    asked = EditOptions(prompt="night", output=folder / "out.mp4", synthetic_frames=frames, **options)
    host = load_plugins()
    with host.extended(*watchers):
        return edit_video(ToyModel(autoencoder=ToyAutoencoder()), config or build_config(), asked, host=host)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
