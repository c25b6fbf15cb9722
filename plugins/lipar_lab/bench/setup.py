"""The settings of a bench run, and what its sections are given."""

from pathlib import Path

import attrs
import torch

from lipar.config import EngineName, PartConfig
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_part
from lipar.protocols import Adapter
from lipar_lab.bench.model import BenchModel


@attrs.frozen(kw_only=True)
class Settings:
    """What a run of the bench measures, as the command line gives it."""

    shape: str
    """Name of a shape in `lipar_adapters.wan.shapes.SHAPES`."""
    layers: int | None
    """Layers to build; None: all of the shape."""
    device: str
    """`cpu` or `cuda`."""
    dtype: str
    """`float32` or `bfloat16`."""
    fractions: tuple[float, ...]
    """Kept fractions, above 0 and at most 1."""
    windows: tuple[str, ...]
    """Of `lipar_lab.bench.stream.WINDOWS`."""
    tasks: tuple[str, ...] | None
    """Of `lipar_lab.bench.stream.TASKS`; None: those of the section."""
    masks: str
    """`clustered` or `uniform`, see `random_mask`."""
    repeats: int
    """Interleaved rounds that are timed."""
    size: tuple[int, int] | None
    """Rows and columns of tokens in a frame; None: those of the shape."""
    frames: int | None
    """Latent frames of a forward without a cache; None: a block of the shape."""
    lengths: tuple[int, ...]
    """Latent frames of the videos whose memory is measured."""
    steps: tuple[int, ...] | None
    """Denoise steps as indices of 1000; None: those of the task."""
    inputs: tuple[str, ...] = ()
    """Video files for the section `files`; empty: it generates one."""
    sections: tuple[str, ...]
    quantise: str = "none"
    """Number type of the linear layers: `none`, `fp8` or `int8`, an option of the adapter `random-wan`."""
    engine: EngineName = "eager"
    """How passes are run, in the sections that time whole blocks."""


@attrs.frozen(eq=False, kw_only=True)
class Setup:
    """What a section measures with; read-only."""

    settings: Settings
    model: BenchModel
    host: PluginHost
    device: torch.device
    trace: Path | None
    """File for a Chrome trace; None: no trace."""
    peak_flops: float
    """Median FLOP/s that the device reaches in a square matrix product."""

    @property
    def on_cuda(self) -> bool:
        """Whether the model runs on a GPU."""
        return self.device.type == "cuda"


def load_model(
    shape: str,
    layers: int | None,
    device: torch.device,
    dtype: torch.dtype,
    size: tuple[int, int] | None = None,
    *,
    quantise: str = "none",
) -> BenchModel:
    """Load a model with random weights through the adapter `random-wan`.

    Args:
        shape: name of a shape in `lipar_adapters.wan.shapes.SHAPES`.
        layers: layers to build; None: all of the shape.
        device: where the weights are.
        dtype: number type of the weights.
        size: rows and columns of tokens in a frame; None: those of the shape.
        quantise: number type of the linear layers, `none`, `fp8` or `int8`.

    Raises:
        ValueError: `quantise` is not possible on this device or in this type.
    """
    options = {"shape": shape, "quantise": quantise} | ({} if layers is None else {"layers": layers})
    adapter: Adapter = make_part(load_plugins(), "adapter", PartConfig("random-wan", options))
    model = adapter.load(device, dtype)
    assert isinstance(model, BenchModel)
    if size is not None:
        model.shape = attrs.evolve(model.shape, rows=size[0], cols=size[1])
    return model
