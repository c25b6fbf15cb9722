"""What an adapter says about the memory of a run, term by term."""

from typing import Literal, TypeAlias

import attrs
import torch

from lipar.config import Config

Phase: TypeAlias = Literal["prompt", "denoise", "pixels"]
PHASES: tuple[Phase, ...] = ("prompt", "denoise", "pixels")
"""What needs memory at different times: encoding the prompt, the denoise steps, and the autoencoder."""
ALWAYS: frozenset[Phase] = frozenset(PHASES)
GIB = 2**30


@attrs.frozen(kw_only=True)
class MemoryRun:
    """The run that is asked about."""

    config: Config
    device: torch.device
    dtype: torch.dtype
    resolution: tuple[int, int] | None = None
    """Width and height to process at; None: the model's own, in the shape of the source."""
    shown: tuple[int, int] | None = None
    """Width and height of the source; None: not known."""
    frames: int | None = None
    """Pixel frames of the video, which bound an unlimited window; None: not known."""
    dense: bool = False


@attrs.frozen(kw_only=True)
class MemoryTerm:
    """One part of what a run keeps in memory."""

    name: str
    bytes: int
    phases: frozenset[Phase] = ALWAYS
    """When it is there."""
    on_host: bool = False
    """In the memory of the CPU, where the run is on another device."""


@attrs.frozen(kw_only=True)
class MemoryNeeds:
    """All terms of a run, and the sizes that they follow from."""

    terms: tuple[MemoryTerm, ...]
    size: tuple[int, int]
    """Width and height that are processed, in pixels."""
    token: int
    """Pixels of a token, along each side; a size is a multiple of it."""
    block_frames: int
    window_frames: int
    """Latest frames in the KV cache; 0: all."""

    def total(self, phase: Phase, *, on_host: bool | None = False) -> int:
        """Bytes in one phase, on the device or in the memory of the CPU; None: on both."""
        return sum(
            term.bytes
            for term in self.terms
            if phase in term.phases and (on_host is None or term.on_host == on_host)
        )

    def peak(self, *, on_host: bool | None = False) -> int:
        """Bytes of the phase that needs most."""
        return max(self.total(phase, on_host=on_host) for phase in PHASES)


@attrs.frozen(kw_only=True)
class OptionSwitch:
    """A change of an adapter's options that makes a run smaller."""

    option: str
    value: str | bool
    cost: str
    """What it costs, in a few words."""

    @property
    def text(self) -> str:
        """As it is typed."""
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return f"--set adapter.{self.option}={value}"
