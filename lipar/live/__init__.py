"""Editing a stream of frames while it comes: sessions for programs, and in `lipar.live.server` a page for people.

Each name is imported when it is first used, so that `lipar --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipar.live.block import LiveBlock
    from lipar.live.errors import LiveError
    from lipar.live.model_host import ModelHost
    from lipar.live.session import Session
    from lipar.live.settings import LiveSettings
    from lipar.live.stats import LiveStats

_HOMES = {
    "LiveBlock": "block",
    "LiveError": "errors",
    "LiveSettings": "settings",
    "LiveStats": "stats",
    "ModelHost": "model_host",
    "Session": "session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["LiveBlock", "LiveError", "LiveSettings", "LiveStats", "ModelHost", "Session"]
