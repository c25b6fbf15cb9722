"""A toy adapter, clips and calibrations for tests of `lipar plan`."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.config import Config, build_config
from lipar.hookspecs import hookimpl
from lipar.plugin.host import PluginHost, load_plugins
from lipar.protocols import Model, StreamingAdapter
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoWriter, synthetic_clip
from lipar_lab.plan.block_plan import BlockPlan
from lipar_lab.plan.calibration import Calibration, MemoryPoint, Sample
from lipar_lab.plan.key import CalibrationKey

SIZE = (64, 48)
TOKENS = 3 * 8 * 6
"""Tokens of a toy block at `SIZE`."""


class UnloadedToy(ToyModel):
    """A toy model that cannot denoise."""

    def forward(self, *given: Any) -> Any:
        """Refuse."""
        raise AssertionError("a plan calls no forward")


@attrs.frozen(kw_only=True)
class ToyStream(StreamingAdapter):
    """The adapter `toy-stream`."""

    autoencoder: bool = True
    whole: bool = False
    """Whether it can only load everything."""

    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        """A toy model."""
        return ToyModel(autoencoder=ToyAutoencoder() if self.autoencoder else None, dtype=dtype)

    def load_without_transformer(self, device: torch.device, dtype: torch.dtype) -> Model | None:
        """One whose forward fails."""
        return None if self.whole else UnloadedToy(autoencoder=ToyAutoencoder(), dtype=dtype)


class ToyPlugin:
    """Registers `toy-stream`."""

    @hookimpl
    def lipar_register_adapters(self, registry: Any) -> None:
        """Add the adapter."""
        registry.add("toy-stream", ToyStream)


def toy_host() -> PluginHost:
    """A host that knows `toy-stream`."""
    return load_plugins(ToyPlugin())


def toy_config(**table: Any) -> Config:
    """A config of `toy-stream`."""
    return build_config(settings=[{"adapter": "toy-stream"}, table])


def toy_model() -> ToyModel:
    """A toy model with a prompt."""
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    return model


def toy_clip(path: Path, frames: int = 40, seed: int = 0) -> Path:
    """Write a clip of so many frames at `SIZE`."""
    width, height = SIZE
    with VideoWriter(path, width=width, height=height, time_base=Fraction(1, 24)) as writer:
        for frame in synthetic_clip(frames, width, height, seed):
            writer.write(frame.rgb, pts=frame.index, duration=1)
    return path


def toy_key(**changes: Any) -> CalibrationKey:
    """A key of `toy-stream`."""
    config = toy_config()
    key = CalibrationKey.of(config, SIZE, torch.device("cpu"), torch.float32, "eager")
    return attrs.evolve(key, **changes)


def exact(kept: float, rows: float) -> float:
    """The seconds of a denoise step of `toy_calibration`."""
    return 0.01 + 1e-3 * kept + 1e-5 * rows + 1e-6 * kept * rows


def toy_samples() -> tuple[Sample, ...]:
    """Samples whose times follow `exact`; the clean pass takes half of it, the rest a tenth."""
    wanted = [(1.0, TOKENS, TOKENS, False), (0.5, TOKENS // 2, 2 * TOKENS, False)]
    wanted += [(share, round(share * TOKENS), 7 * 48, True) for share in (0.1, 0.25, 0.5, 0.75, 1.0)]
    return tuple(
        Sample(
            share=share,
            kept=kept,
            rows=rows,
            steady=steady,
            denoise=exact(kept, rows),
            clean=exact(kept, rows) / 2,
            rest=exact(kept, rows) / 10,
            decode=0.3 if rows > TOKENS else 0.2,
        )
        for share, kept, rows, steady in wanted
    )


def toy_calibration(**changes: Any) -> Calibration:
    """A calibration with round numbers."""
    made = Calibration(
        key=toy_key(),
        machine={
            "host": "here",
            "date": "2026-11-26 12:00 UTC",
            "device": "a CPU",
            "threads": 1,
            "torch": "2.13",
        },
        tokens=TOKENS,
        block_frames=3,
        samples=toy_samples(),
        encode_first=0.05,
        encode=0.1,
        decode_first=0.2,
        mask=0.001,
        nothing_kept=0.002,
        warm_up=0.5,
        load=2.0,
        memory=(MemoryPoint(kept=TOKENS, peak_bytes=2000), MemoryPoint(kept=TOKENS // 2, peak_bytes=1000)),
        cache_row_bytes=10.0,
        memory_rows=7 * 48,
    )
    return attrs.evolve(made, **changes)


def planned(index: int, kept: int, **changes: Any) -> BlockPlan:
    """A block of 12 pixel frames; the first block of a scene has no history."""
    frames = min(3 * (index + 1), 7)
    block = BlockPlan(
        index=index,
        kept=kept,
        tokens=TOKENS,
        shown_kept=kept,
        shown_tokens=TOKENS,
        pixel_frames=(12 * index, 12 * index + 12),
        context_frames=frames,
        context_rows=48 * frames,
        has_history=index > 0,
        steady=index >= 2,
        cut=False,
        mask=0.004,
    )
    return attrs.evolve(block, **changes)
