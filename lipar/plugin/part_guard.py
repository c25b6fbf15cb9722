"""A guard around each chosen part: it knows which plugin the part is from, and checks what the part returns.

A guard has all attributes of its part, and `isinstance` sees the part's class. What the part raises is noted with the
part's name; an exit becomes an error. Types and shapes of results are checked in every call, which costs the host
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
from lipar.protocols import Model, Pipeline


@attrs.frozen(eq=False)
class PartGuard:
    """What the guards of all kinds share.

    Args:
        part: an instance of a registered class, which has all attributes of its kind (`lipar.plugin.completion`).
        registered: its name and plugin.
        checks: those of its run.
    """

    part: Any
    registered: Registered
    checks: Checks

    checked: ClassVar[tuple[str, ...]] = ()
    """Properties of this guard that check an attribute of the part; all are read once when the guard is made."""

    def __attrs_post_init__(self) -> None:
        for name in self.checked:
            getattr(self, name)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # for `isinstance`, to find out which part was chosen; `type` gives the guard's class
        return type(self.part)

    def __reduce__(self) -> tuple[Any, ...]:
        # by `type`, since pickle compares the class that it is given with the one above
        return type(self), (self.part, self.registered, self.checks)

    def __getattr__(self, name: str) -> Any:
        # what needs no check: `needs`, options, and what only this part has
        if name.startswith("__"):
            raise AttributeError(name)
        return self.ask(getattr, self.part, name)

    @property
    def who(self) -> str:
        """The part's name in messages, with its plugin."""
        return str(self.registered)

    @property
    def foreign(self) -> str | None:
        """Its name if it is from another distribution; None: it is lipar's own, and an error of it needs no note."""
        return None if self.registered.own else self.who

    def ask(self, call: Callable[..., Any], *args: Any) -> Any:
        """What a function of the part returns; an error is noted with the part's name."""
        with running(self.foreign):
            return call(*args)

    def declared(self, name: str, kind: type[Any]) -> Any:
        """An attribute of the part that must be of exactly this type.

        Raises:
            AnswerError: it is of another one.
        """
        value = self.ask(getattr, self.part, name)
        if type(value) is not kind:
            raise AnswerError(f"{self.who} has {name} = {came(value)}; it must be {kind.__name__}")
        return value

    def wrong(self, answer: object, what: str, instead: str) -> AnswerError:
        """The error of a result that is no tensor.

        Args:
            answer: what came.
            what: what the part was asked for.
            instead: what to return.
        """
        return AnswerError(f"{self.who} gave {came(answer)} as {what}; return {instead}")


class AdapterGuard(PartGuard):
    """An adapter, whose `load` must return something."""

    def load(self, device: torch.device, dtype: torch.dtype) -> Model | Pipeline:
        """The part's model or pipeline.

        Raises:
            AnswerError: there is none.
        """
        model = self.ask(lambda: self.part.load(device, dtype))
        if model is None:
            raise self.wrong(None, "model", "the loaded model")
        loaded: Model | Pipeline = model
        return loaded

    def load_without_transformer(self, device: torch.device, dtype: torch.dtype) -> Model | None:
        """The part's model for masks; None where it has none."""
        model: Model | None = self.ask(lambda: self.part.load_without_transformer(device, dtype))
        return model
