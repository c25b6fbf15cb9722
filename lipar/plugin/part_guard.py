"""A guard around each chosen part: it knows whose the part is, and lets no answer into the core that cannot be used.

A guard offers what the part offers, and its class is the part's to `isinstance`. What the part raises, it names in the
error's notes; an exit becomes an error. Kinds and shapes of answers are looked at in every call, which costs the host
microseconds; values once per block, with `lipar.plugin.checks.Checks`. The guards of each kind are in `mask_guards` and
`forward_guards`.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import torch

from lipar.plugin.checks import AnswerError, Checks, came
from lipar.plugin.guard import running
from lipar.plugin.registry import Registered
from lipar.protocols import Model


@attrs.frozen(eq=False)
class PartGuard:
    """What the guards of all kinds share.

    Args:
        part: an instance.
        registered: whose it is.
        checks: those of its run.
    """

    part: Any
    registered: Registered
    checks: Checks

    members: ClassVar[tuple[str, ...]] = ("__call__",)
    """What a part of this kind cannot do without."""

    def __attrs_post_init__(self) -> None:
        for name in self.members:
            if not self.ask(hasattr, self.part, name):
                raise AnswerError(
                    f"{self.who} has no {name}; a part of this kind has {', '.join(self.members)} "
                    "(lipar.protocols says what they give)"
                )
            getattr(self, name)  # one that declares something is looked at

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # so that whoever asks what kind of part was chosen learns that; `type` tells of the guard
        return type(self.part)

    def __reduce__(self) -> tuple[Any, ...]:
        # by `type`, since pickle compares the class that it is given with the one above
        return type(self), (self.part, self.registered, self.checks)

    def __getattr__(self, name: str) -> Any:
        # what a part may have beside its protocol, such as `needs`
        if name.startswith("__"):
            raise AttributeError(name)
        return self.ask(lambda: getattr(self.part, name))

    @property
    def who(self) -> str:
        return str(self.registered)

    @property
    def foreign(self) -> str | None:
        """Its name where a plugin brought it; None: it is lipar's own, and what it raises is the run's own error."""
        return None if self.registered.own else self.who

    def ask(self, call: Callable[..., Any], *args: Any) -> Any:
        """What the part answers; an error names it."""
        with running(self.foreign):
            return call(*args)

    def declared(self, name: str, kind: type[Any]) -> Any:
        """An attribute that the protocol asks for, of this type exactly."""
        value = self.ask(getattr, self.part, name)
        if type(value) is not kind:
            raise AnswerError(f"{self.who} has {name} = {came(value)}; it must be {kind.__name__}")
        return value

    def wrong(self, answer: object, what: str, instead: str) -> AnswerError:
        """The error of an answer that is no tensor."""
        return AnswerError(f"{self.who} gave {came(answer)} as {what}; return {instead}")


class AdapterGuard(PartGuard):
    """An adapter: a model that is there."""

    members = ("load",)

    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        model = self.ask(lambda: self.part.load(device, dtype))
        if model is None:
            raise self.wrong(None, "model", "the loaded model")
        loaded: Model = model
        return loaded
