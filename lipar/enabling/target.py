"""The interface between `lipar.enable` and a model library.

The core knows no model library. A plugin that supports one registers a target with `lipar_register_targets`: a class
that recognises the library's pipelines and models, describes them, and attaches a session to them.
"""

from typing import Any, Protocol, runtime_checkable

from lipar.enabling.session import Session
from lipar.enabling.target_info import TargetInfo
from lipar.plugin.guard import running
from lipar.plugin.host import PluginHost


class EnableWarning(UserWarning):
    """Something that was asked for has no effect."""


@runtime_checkable
class Target(Protocol):
    """A kind of object that `lipar.enable` supports. Implementations are attrs classes without required options."""

    supported: str
    """Names of the supported classes, for messages."""

    def recognises(self, target: object) -> bool:
        """Whether it supports this object. Must import nothing: every target is asked about every object."""
        ...

    def describe(self, target: Any) -> TargetInfo:
        """What is known about an object that it recognises.

        Raises:
            TypeError: its solver cannot lead pruned tokens to clean values, or something in it was replaced by what
                cannot be pruned.
            ValueError: lipar already prunes it in another way.
        """
        ...

    def attach(self, target: Any, session: Session) -> None:
        """Prune the object's own forwards by a session: all forwards of a model, those of its calls for a pipeline.

        The session belongs to this object. Another object that shares parts with it, such as a second pipeline on the
        same model, is not pruned by it and keeps its own session.
        """
        ...

    def session_of(self, target: Any) -> Session | None:
        """The session that was attached; None if there is none, or after `detach`."""
        ...

    def detach(self, target: Any) -> None:
        """Restore the object as it was before `attach`, without a trace; does nothing if no session is attached."""
        ...


def target_for(target: object, host: PluginHost) -> Target:
    """The registered target that recognises an object.

    Raises:
        TypeError: none does; the message lists the supported classes.
    """
    supported = []
    for registered in host.registries["target"]:
        with running(None if registered.own else str(registered)):
            kind: Target = registered.part()
            if kind.recognises(target):
                return kind
            supported.append(kind.supported)
    listed = ", ".join(dict.fromkeys(supported)) or "nothing (no plugin registers a target)"
    hint = ""
    if hasattr(target, "_orig_mod"):
        hint = "; this one was compiled as a whole: pass the module itself, and compile its blocks"
    raise TypeError(f"lipar cannot prune a {type(target).__name__}; supported: {listed}{hint}")
