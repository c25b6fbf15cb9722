"""The models of a worker: one is loaded at a time, when the first clip needs it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from lipar.config import Config, PartConfig
from lipar.editing.model import pick_device, pick_dtype
from lipar.events import EditOptions
from lipar.memory.needs import MemoryRun
from lipar.memory.report import warn_of_memory
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_streaming_adapter
from lipar.protocols import Model


@runtime_checkable
class Models(Protocol):
    """Gives a worker its models."""

    def on(self, config: Config) -> Sequence[str]:
        """Kind of device and number type of the model of a config, without loading it."""
        ...

    def weights(self, config: Config) -> Sequence[Path]:
        """Files and folders that the model of a config is read from."""
        ...

    def get(self, config: Config, options: EditOptions) -> Model:
        """The model of a config, loaded."""
        ...


class LoadedModels:
    """Loads models by their configs and keeps the last one (implements `Models`).

    Args:
        host: the plugins.
        device: as `pick_device` takes it.
        dtype: as `pick_dtype` takes it.
        loading: what a model is loaded within, by its name.
    """

    def __init__(
        self,
        host: PluginHost,
        device: str | None,
        dtype: str | None,
        *,
        loading: Callable[[str], AbstractContextManager[None]] = lambda name: nullcontext(),
    ) -> None:
        self._host, self._loading = host, loading
        self.device: torch.device = pick_device(device)
        self.dtype: torch.dtype = pick_dtype(dtype, self.device)
        self._last: tuple[PartConfig, Model] | None = None

    def on(self, config: Config) -> Sequence[str]:
        """Kind of device and number type, the same for all configs."""
        return self.device.type, str(self.dtype)

    def weights(self, config: Config) -> Sequence[Path]:
        """What the adapter says that it reads."""
        return make_streaming_adapter(self._host, config).weight_files()

    def get(self, config: Config, options: EditOptions) -> Model:
        """The model of a config; another one that was loaded before is forgotten first.

        Args:
            config: names the adapter.
            options: of the first edit, whose memory is estimated.

        Warns:
            MemoryWarning: the run will probably not fit into memory.
        """
        if self._last is not None and self._last[0] == config.adapter:
            return self._last[1]
        self._last = None
        adapter = make_streaming_adapter(self._host, config)
        run = MemoryRun(
            config=config,
            device=self.device,
            dtype=self.dtype,
            resolution=options.resolution,
            dense=options.dense,
        )
        warn_of_memory(adapter, run)
        with self._loading(config.adapter.name):
            model = adapter.load(self.device, self.dtype)
        self._last = config.adapter, model
        return model


class GivenModel:
    """A model that is loaded already, for every config (implements `Models`).

    Args:
        model: with an autoencoder.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def on(self, config: Config) -> Sequence[str]:
        """Those of the model."""
        return self._model.device.type, str(self._model.dtype)

    def weights(self, config: Config) -> Sequence[Path]:
        """None are known."""
        return ()

    def get(self, config: Config, options: EditOptions) -> Model:
        """The model."""
        return self._model
