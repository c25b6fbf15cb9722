"""Deprecated: names that moved to `lipar` and `lipar.enabling.target`; they work, with a warning, until version 0.3."""

import warnings
from typing import TYPE_CHECKING, Any

_RENAMED = {"Door": "Target", "DoorWarning": "EnableWarning"}
_FRONT = ("disable", "enable", "summary")

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        import lipar
        from lipar.config import Config, PartConfig
        from lipar.enabling import target

        if name in _FRONT:
            instead, value = f"lipar.{name}", getattr(lipar, name)
        elif name in _RENAMED:
            instead, value = f"lipar.enabling.target.{_RENAMED[name]}", getattr(target, _RENAMED[name])
        elif name == "WHOLE_CLIP":
            instead = "nothing: lipar.enable takes keywords, a dict or any lipar.Config, whose defaults fit the model"
            value = Config(noise=PartConfig("filtering"))
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warnings.warn(f"lipar.door.{name} is deprecated; use {instead}", DeprecationWarning, stacklevel=2)
        return value
