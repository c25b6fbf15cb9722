"""Latent inter-frame pruning with attention recovery for video diffusion transformers.

Each name is imported when it is first used, so that `lipar --help` and a mistyped option do not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipar.attention.error_bound import Certificate, certificate
    from lipar.config import Config, ConfigError, build_config
    from lipar.editing.edit import edit
    from lipar.editing.model import load_model
    from lipar.enabling.enable import disable, enable
    from lipar.enabling.summary import summary
    from lipar.job import RestoredBlock
    from lipar.layout import TokenLayout
    from lipar.origins import TokenOrigins
    from lipar.plugin.host import load_plugins
    from lipar.scheduler import Scheduler

    __version__: str

_HOMES = {
    "Certificate": "attention.error_bound",
    "Config": "config",
    "ConfigError": "config",
    "RestoredBlock": "job",
    "Scheduler": "scheduler",
    "TokenLayout": "layout",
    "TokenOrigins": "origins",
    "build_config": "config",
    "certificate": "attention.error_bound",
    "disable": "enabling.enable",
    "edit": "editing.edit",
    "enable": "enabling.enable",
    "load_model": "editing.model",
    "load_plugins": "plugin.host",
    "summary": "enabling.summary",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "__version__"})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lipar")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0"


__all__ = [
    "Certificate",
    "Config",
    "ConfigError",
    "RestoredBlock",
    "Scheduler",
    "TokenLayout",
    "TokenOrigins",
    "build_config",
    "certificate",
    "disable",
    "edit",
    "enable",
    "load_model",
    "load_plugins",
    "summary",
]
