"""Loading a streaming model by the name of its adapter, on a device and in a number type."""

from typing import Any

import torch

from lipar.config import Config, PartConfig
from lipar.memory.needs import MemoryRun
from lipar.memory.report import warn_of_memory
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_streaming_adapter
from lipar.protocols import Model


def load_model(
    name: str = "tiny",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    host: PluginHost | None = None,
    **options: Any,
) -> Model:
    """Load a streaming model, which a `lipar.Scheduler` runs block by block.

    ```python
    import lipar

    model = lipar.load_model("tiny", device="cpu")
    model.set_prompt("watercolour")
    ```

    Args:
        name: of the adapter, or of a model in the catalogue; `lipar models` lists both.
        device: such as `cpu` or `cuda:1`; None: CUDA if there is a device, else the CPU.
        dtype: such as `float32`; None: bfloat16 on CUDA, else float32.
        host: the plugins; None: all that are installed.
        options: those of the adapter, such as `checkpoint="self_forcing_dmd.pt"`.

    Warns:
        MemoryWarning: an edit at the model's own size will probably not fit into memory.

    Raises:
        LookupError: no adapter of that name.
        ConfigError: an option is wrong, or the adapter makes whole clips in a single pass (use its pipeline and
            `lipar.enable`).
        ValueError: there is no such device here, or no such number type.
    """
    config = Config(adapter=PartConfig(name, options))
    adapter = make_streaming_adapter(host or load_plugins(), config)
    place = pick_device(device)
    number_type = pick_dtype(dtype, place)
    warn_of_memory(adapter, MemoryRun(config=config, device=place, dtype=number_type))
    return adapter.load(place, number_type)


def pick_device(name: str | torch.device | None) -> torch.device:
    """The device of that name; None: CUDA if there is a device, else the CPU.

    Raises:
        ValueError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"no device named {name!r}; write cpu, cuda or cuda:1") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device {name}, but this PyTorch ({torch.__version__}) sees no CUDA device; use cpu"
        )
    return device


def pick_dtype(name: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The number type of that name; None: bfloat16 on CUDA, else float32.

    Raises:
        ValueError: torch has no floating-point type of that name.
    """
    if name is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype = getattr(torch, name, None) if isinstance(name, str) else name
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"no floating-point type named {name!r}; write float32, bfloat16 or float16")
    return dtype
