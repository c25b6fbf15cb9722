"""A calibration: what was measured on this machine for one key, as it is stored."""

import os
import platform
from statistics import median
from typing import Any

import attrs
import torch

from lipar.page.machine import describe
from lipar_lab.plan.key import CalibrationKey

SAME = ("host", "cpus", "threads", "device", "torch", "lipar", "diffusers", "cuda", "driver")
"""What must be now as it was when a calibration was made: entries of `machine_now`."""


class CalibrationError(ValueError):
    """There is no calibration for a run, or it is from another machine or other versions."""


@attrs.frozen(kw_only=True)
class Sample:
    """One block that was timed."""

    share: float
    """Fraction of the tokens that was asked for: samples with one share are repetitions."""
    kept: int
    """Kept tokens."""
    rows: int
    """Rows of the KV cache that its clean pass attended to."""
    steady: bool
    """Whether its context was as long as it gets."""
    denoise: float
    """Seconds of a denoise step."""
    clean: float
    """Seconds of the clean pass."""
    rest: float
    """Seconds of the block outside of its passes."""
    decode: float
    """Seconds of decoding its latents."""


@attrs.frozen(kw_only=True)
class MemoryPoint:
    """Peak memory of an edit whose blocks after the first all kept one number of tokens."""

    kept: int
    """Kept tokens of each block after the first."""
    peak_bytes: int
    """On a CPU of the process, weights and libraries included; on a GPU allocated."""


@attrs.frozen(kw_only=True)
class Calibration:
    """The figures of one key."""

    key: CalibrationKey
    machine: dict[str, Any]
    """From `machine_now`; `date` is when it was made."""
    tokens: int
    """Tokens of a block."""
    block_frames: int
    """Latent frames of a block."""
    samples: tuple[Sample, ...]
    encode_first: float
    """Seconds of encoding the first block of a video, which can have fewer pixel frames."""
    encode: float
    """Seconds of encoding another block."""
    decode_first: float
    """Seconds of decoding the first block of a video."""
    mask: float
    """Seconds of the mask of a block with the criterion and the refiners of the config at that time."""
    nothing_kept: float
    """Seconds of a block without a kept token."""
    warm_up: float
    """Seconds that the first block of a process takes longer than that of a later scene."""
    load: float
    """Seconds of loading the model."""
    memory: tuple[MemoryPoint, ...]
    cache_row_bytes: float
    """Bytes of the KV cache for each row of a block's context."""
    memory_rows: int
    """Rows of context in the last block of the memory runs."""

    @property
    def spread(self) -> float:
        """How far repetitions of one denoise step lie apart: highest over lowest, minus 1, the median over them."""
        groups: dict[tuple[float, int], list[float]] = {}
        for sample in self.samples:
            groups.setdefault((sample.share, sample.rows), []).append(sample.denoise)
        return median(max(group) / min(group) - 1 for group in groups.values() if min(group) > 0)

    def differences(self, now: dict[str, Any]) -> list[str]:
        """What is not as it was when this was measured, in words; empty: it can be used.

        Args:
            now: from `machine_now`.
        """
        return [
            f"{name} was {self.machine.get(name)} and is {now.get(name)}"
            for name in SAME
            if self.machine.get(name) != now.get(name)
        ]


def machine_now(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Machine, device, versions and date, as `lipar bench` has them, with the name of the machine and its CPUs."""
    return {"host": platform.node(), "cpus": os.cpu_count(), **describe(device, dtype)}
