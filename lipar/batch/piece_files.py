"""The pieces of a clip in a hidden folder beside its output: latents as they were encoded, and as they were edited."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lipar.editing.scenes import EditedPiece, SourcePieceOfClip
from lipar.files.owner import Outputs
from lipar.job import RestoredBlock
from lipar.layout import TokenLayout
from lipar.masks.scene import SceneBegin
from lipar.video.errors import explain

INDEX = "pieces.json"


def pieces_folder(output: Path) -> Path:
    """The folder of the pieces of an output."""
    return output.with_name(f".{output.name}.lipar-pieces")


@attrs.frozen(kw_only=True)
class PieceFiles:
    """The pieces of one clip; a file appears when it is complete."""

    output: Path
    """Of the clip."""
    key: str
    """Of everything that the result depends on; pieces of another key are not read."""

    @property
    def folder(self) -> Path:
        """Where they are."""
        return pieces_folder(self.output)

    def edited_path(self, index: int) -> Path:
        """The file of a piece when it is edited."""
        return self.folder / f"{index:05}.edited.safetensors"

    def _source_path(self, index: int) -> Path:
        return self.folder / f"{index:05}.source.safetensors"

    def index(self) -> Mapping[str, Any] | None:
        """What is known of all pieces: `count`, and `seconds` of reading and encoding; None: some are missing."""
        try:
            found = json.loads((self.folder / INDEX).read_text("utf-8"))
            return found if found["key"] == self.key and isinstance(found["count"], int) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_sources(self, pieces: Iterable[SourcePieceOfClip]) -> int:
        """Write the source of every piece; gives how many there are.

        Args:
            pieces: in order.

        Raises:
            VideoError: one cannot be written.
        """
        self.remove()
        self._make()
        count = 0
        for count, piece in enumerate(pieces, 1):
            about = {"first_frame": piece.begin.first_frame, "cut": piece.begin.cut}
            self._write(self._source_path(count - 1), {"latents": piece.latents}, about)
        return count

    def write_index(self, count: int, seconds: float) -> None:
        """Note that the sources are complete.

        Args:
            count: of the pieces.
            seconds: that reading and encoding took.
        """
        text = json.dumps({"key": self.key, "count": count, "seconds": seconds})
        self._publish(self.folder / INDEX, text.encode())

    def source(self, index: int) -> SourcePieceOfClip:
        """The source of a piece.

        Raises:
            OSError: it is gone.
        """
        tensors, about = _read(self._source_path(index))
        begin = SceneBegin(first_frame=about["first_frame"], cut=about["cut"])
        return SourcePieceOfClip(begin=begin, latents=tensors["latents"])

    def write_edited(self, index: int, piece: EditedPiece) -> None:
        """Write an edited piece.

        Args:
            index: of the piece.
            piece: all of its blocks.

        Raises:
            VideoError: it cannot be written.
        """
        tensors = {
            "latents": torch.cat([block.latents for block in piece.blocks], dim=1),
            "keep": torch.cat([block.layout.keep_mask for block in piece.blocks]),
        }
        about = {
            "key": self.key,
            "stage_seconds": piece.stage_seconds,
            "seconds": piece.seconds,
            "blocks": [
                [block.first_frame, block.layout.frames, block.layout.has_history, block.seconds, block.cut]
                for block in piece.blocks
            ],
        }
        self._write(self.edited_path(index), tensors, about)

    def edited(self, index: int, device: torch.device) -> EditedPiece | None:
        """An edited piece; None: it is not there.

        Args:
            index: of the piece.
            device: of its tensors.
        """
        try:
            tensors, about = _read(self.edited_path(index), str(device))
        except (OSError, SafetensorError):
            return None
        counts = [frames for _, frames, *_ in about["blocks"]]
        parts = zip(about["blocks"], tensors["latents"].split(counts, dim=1), tensors["keep"].split(counts))
        blocks = tuple(
            RestoredBlock(
                latents=latents,
                layout=TokenLayout(keep, first_frame=first_frame, has_history=has_history),
                first_frame=first_frame,
                seconds=seconds,
                dense_seconds=None,
                cut=cut,
            )
            for (first_frame, _, has_history, seconds, cut), latents, keep in parts
        )
        return EditedPiece(blocks=blocks, stage_seconds=about["stage_seconds"], seconds=about["seconds"])

    def is_edited(self, index: int) -> bool:
        """Whether a piece is edited."""
        return self.edited_path(index).exists()

    def remove(self) -> None:
        """Remove all pieces."""
        remove_pieces(self.output)

    def _make(self) -> None:
        try:
            self.folder.mkdir()
        except OSError as error:
            raise explain(error, self.output.parent) from error

    def _write(self, path: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self._publish(path, save(held, metadata={"about": json.dumps(about)}))

    def _publish(self, path: Path, data: bytes) -> None:
        try:
            with Outputs() as outputs:
                outputs.claim(path.resolve()).write_bytes(data)
                outputs.publish()
        except OSError as error:
            raise explain(error, self.output.parent) from error


def remove_pieces(output: Path) -> None:
    """Remove the pieces of an output, of whatever key.

    Args:
        output: of the clip.
    """
    shutil.rmtree(pieces_folder(output), ignore_errors=True)


def _read(path: Path, device: str = "cpu") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(path, "pt", device=device) as file:
        about: dict[str, Any] = json.loads(file.metadata()["about"])
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 (no mapping)
