"""Finished clips in the output folder, from which an interrupted analysis continues."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lipar.files.content import file_digest
from lipar.files.owner import Outputs
from lipar.video.errors import explain
from lipar_lab.analyze.clip import ClipResult

_BOUND_TO = "bound_to"


class FinishedClips:
    """Results of clips as JSON files, each with a digest of everything that it depends on.

    Args:
        folder: exists; the files are in its folder `clips`, and the maps in the folder itself.
        depends_on: what all clips depend on, such as weights, sizes and versions.

    Raises:
        VideoError: the folder cannot be made.
    """

    def __init__(self, folder: Path, depends_on: dict[str, Any]) -> None:
        self._folder, self._depends_on = folder, depends_on
        try:
            (folder / "clips").mkdir(exist_ok=True)
        except OSError as error:
            raise explain(error, folder) from error

    def map_path(self, name: str) -> Path:
        """The video of a clip's map.

        Args:
            name: of the clip.
        """
        return self._folder / f"{name}-map.mp4"

    def record_path(self, name: str) -> Path:
        """The file of a clip's result.

        Args:
            name: of the clip.
        """
        return self._folder / "clips" / f"{name}.json"

    def find(self, clip: Path, name: str) -> ClipResult | None:
        """The result of a clip that is finished; None: it is not, or something that it depends on has changed.

        Args:
            clip: path of the clip.
            name: of the clip.
        """
        path = self.record_path(name)
        try:
            found = json.loads(path.read_text("utf-8"))
            if found.pop(_BOUND_TO) != self._digest(clip) or not self.map_path(name).is_file():
                return None
            return ClipResult.from_json(found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # it is run again

    def write(self, clip: Path, result: ClipResult, outputs: Outputs) -> None:
        """Write a result; it gets its name when `outputs` publishes it, together with the map.

        Args:
            clip: path of the clip.
            result: its figures.
            outputs: owns the files of this clip.
        """
        text = json.dumps({**result.to_json(), _BOUND_TO: self._digest(clip)}) + "\n"
        outputs.claim(self.record_path(result.name).resolve()).write_text(text, "utf-8")

    def _digest(self, clip: Path) -> str:
        parts = {**self._depends_on, "clip": file_digest(clip)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
