"""A source on disk, so that its masks can be decided again with other settings without encoding it again."""

import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from lipar.masks.source import SourcePiece


class SourceSpool:
    """Writes the pieces of a source to a temporary file as they pass, and reads them as often as asked.

    Args:
        pixels: also write the pixel frames, for criteria that read them.
    """

    def __init__(self, *, pixels: bool) -> None:
        self._pixels = pixels
        # closed by `close`, with this object's own context
        self._file: IO[Any] = tempfile.TemporaryFile(prefix="lipar-plan-")  # noqa: SIM115
        self._types: list[tuple[torch.dtype, torch.dtype | None]] = []

    def record(self, pieces: Iterable[SourcePiece]) -> Iterator[SourcePiece]:
        """The pieces, each written before it is given."""
        for piece in pieces:
            pixels = piece.pixels if self._pixels else None
            self._write(piece.latents)
            if pixels is not None:
                self._write(pixels)
            self._types.append((piece.latents.dtype, None if pixels is None else pixels.dtype))
            yield piece

    def read(self) -> Iterator[SourcePiece]:
        """The pieces that were written, equal to what passed; not while `record` is running."""
        self._file.seek(0)
        for of_latents, of_pixels in self._types:
            latents = self._read(of_latents)
            yield SourcePiece(latents=latents, pixels=None if of_pixels is None else self._read(of_pixels))

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def _write(self, tensor: Tensor) -> None:
        # NumPy has no bfloat16; float32 holds each of its values
        np.save(self._file, tensor.detach().float().cpu().numpy())

    def _read(self, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(np.load(self._file)).to(dtype)

    def __enter__(self) -> "SourceSpool":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
