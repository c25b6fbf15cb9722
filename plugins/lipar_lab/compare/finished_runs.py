"""What a page needs of a finished run, and a folder in which it stays for the next call."""

import json
from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lipar.config import Config
from lipar.files.owner import Outputs
from lipar.types import KeepMask, Latents, PixelFrames
from lipar.video.errors import explain
from lipar_lab.compare.comparison import Comparison


@attrs.frozen(eq=False, kw_only=True)
class FinishedRun:
    """The result of a run of one clip, on the CPU."""

    latents: Latents
    """All frames, restored."""
    keep_mask: KeepMask
    """True where a token was computed."""
    blocks: tuple[int, ...]
    """Latent frames of each block, which are decoded together."""
    stage_seconds: dict[str, float]
    """Seconds per stage, by its name in `lipar.watch.stages`; encoding and decoding included."""

    def pieces(self) -> list[Latents]:
        """The latents of each block."""
        return list(torch.split(self.latents, list(self.blocks), 1))


@attrs.frozen(eq=False, kw_only=True)
class ShownRun:
    """A finished run with its pixels, for a report."""

    name: str
    """The variant; a dense run has `dense` in its name."""
    config: Config
    row: Comparison | None
    """None: a dense run."""
    dense: str | None
    """Name of the dense run that it is compared with, which was shown before; None: it is one."""
    run: FinishedRun
    pixels: PixelFrames
    """All decoded frames, copies that fill the last block included."""


@runtime_checkable
class KeepsRuns(Protocol):
    """A store of finished runs."""

    def find(self, clip: Path, name: str, config: Config) -> FinishedRun | None:
        """The stored run of the same clip, name and config; None: there is none."""
        ...

    def add(self, clip: Path, name: str, config: Config, run: FinishedRun) -> None:
        """Store a run."""
        ...


@runtime_checkable
class Digests(Protocol):
    """Names everything that a run depends on."""

    def digest(self, clip: Path, variant: str, config: Config) -> str:
        """A text that is equal only where everything is equal."""
        ...


class RunFolder:
    """Finished runs as safetensors files in a folder (implements `KeepsRuns`).

    Args:
        folder: exists.
        digests: gives the names of the files.
    """

    def __init__(self, folder: Path, digests: Digests) -> None:
        self._folder, self._digests = folder, digests

    def _path(self, clip: Path, name: str, config: Config) -> Path:
        return self._folder / f"{self._digests.digest(clip, name, config)[:32]}.safetensors"

    def find(self, clip: Path, name: str, config: Config) -> FinishedRun | None:
        """The stored run; None: there is none, or its file cannot be read, so that it is run again.

        Args:
            clip: path of the clip.
            name: of the variant.
            config: of the run.
        """
        path = self._path(clip, name, config)
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata()
                return FinishedRun(
                    latents=file.get_tensor("latents"),
                    keep_mask=file.get_tensor("keep_mask"),
                    blocks=tuple(json.loads(about["blocks"])),
                    stage_seconds=json.loads(about["stage_seconds"]),
                )
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def add(self, clip: Path, name: str, config: Config, run: FinishedRun) -> None:
        """Write a run; the file appears when it is complete.

        Args:
            clip: path of the clip.
            name: of the variant.
            config: of the run.
            run: finished.
        """
        data = save(
            {"latents": run.latents.contiguous(), "keep_mask": run.keep_mask.contiguous()},
            metadata={"blocks": json.dumps(run.blocks), "stage_seconds": json.dumps(run.stage_seconds)},
        )
        with Outputs() as outputs:
            try:
                outputs.claim(self._path(clip, name, config)).write_bytes(data)
            except OSError as error:
                raise explain(error, self._folder) from error
            outputs.publish()
