"""What a calibration is for: the model and everything else that its times depend on, but for the masks."""

import json
from typing import Any

import attrs
import torch

from lipar.config import CacheConfig, Config, ConfigError, PartConfig
from lipar.config_tables import NO_PART


@attrs.frozen(kw_only=True)
class CalibrationKey:
    """A calibration is used only where all of this is equal.

    Neither criterion nor refiners are in it, since `lipar plan` runs and times them itself, nor the number of denoise
    steps, since the time of one is measured.
    """

    model: str
    """Name of the adapter, and its options as JSON."""
    width: int
    """Pixels, at the size processed."""
    height: int
    device: str
    """`cpu` or `cuda`."""
    dtype: str
    engine: str
    """The one that runs, not `auto`; with its sizes where it has any."""
    recovery: str
    noise: str
    restorer: str
    cache: str
    """Sink, window and positions where the config sets them."""
    decode: str
    """Whether regions are decoded."""

    @classmethod
    def of(
        cls, config: Config, size: tuple[int, int], device: torch.device, dtype: torch.dtype, engine: str
    ) -> "CalibrationKey":
        """The key of a run.

        Args:
            config: names the parts.
            size: width and height to process at, in pixels.
            device: the model's.
            dtype: the model's.
            engine: the one that runs.

        Raises:
            ConfigError: the time of a block does not follow from its kept tokens, as with a merging or a reuse.
        """
        for kind, part in {"merging": config.merging, "reuse": config.reuse}.items():
            if part.name != NO_PART:
                raise ConfigError(
                    f"times are predicted from the number of kept tokens, and {kind} {part.name!r} saves in another "
                    f"way; set {kind} to {NO_PART!r}"
                )
        return cls(
            model=_named(config.adapter),
            width=size[0],
            height=size[1],
            device=device.type,
            dtype=str(dtype).removeprefix("torch."),
            engine=f"{engine} {config.run.sizes}" if engine == "graphs" else engine,
            recovery=_named(config.recovery),
            noise=_named(config.noise),
            restorer=_named(config.restorer),
            cache=_cache(config.cache),
            decode=config.decode.regions,
        )

    def __str__(self) -> str:
        parts = {
            "engine": self.engine,
            "recovery": self.recovery,
            "noise": self.noise,
            "restorer": self.restorer,
            "cache": self.cache,
            "decode.regions": self.decode,
        }
        named = ", ".join(f"{name} {value}" for name, value in parts.items())
        return f"{self.model} at {self.width}x{self.height} on {self.device} in {self.dtype}, {named}"


def _named(part: PartConfig) -> str:
    return f"{part.name} {_json(part.options)}" if part.options else part.name


def _cache(cache: CacheConfig) -> str:
    chosen = {
        name: value for name, value in attrs.asdict(cache).items() if value != getattr(CacheConfig(), name)
    }
    return _json(chosen) if chosen else "of the model"


def _json(table: dict[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, default=str)
