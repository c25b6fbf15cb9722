"""The check of shapes in signatures, as the suite uses it; `tests/conftest.py` puts it in jaxtyping's place."""

import functools
import typing
from inspect import isfunction, isgeneratorfunction
from typing import Any

import jaxtyping
from beartype.roar import BeartypeCallHintViolation

jaxtyped = jaxtyping.jaxtyped


def holds_text(hint: Any) -> bool:
    """Whether an annotation, or a part of it, is text that stands for a type."""
    parts = hint if isinstance(hint, list) else typing.get_args(hint)
    return isinstance(hint, str) or any(map(holds_text, parts))


def check_signature(function: Any = None, *, typechecker: Any = None) -> Any:
    """What jaxtyping puts on every function of a checked package, at a fraction of the cost.

    jaxtyping's own decorator binds the arguments once more and has them checked twice: a third of the suite's time. It
    stays for what beartype alone does not take: classes, generators, and annotations that are text.
    """
    if function is None:
        return functools.partial(check_signature, typechecker=typechecker)
    if function.__module__ == "lipar.attention.triton_kernels":
        return function  # Triton compiles their source
    plain = isfunction(function) and not isgeneratorfunction(function)
    if not plain or holds_text(list(function.__annotations__.values())):
        return jaxtyped(function, typechecker=typechecker)
    checked = typechecker(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):  # sizes of axes hold for one call
            try:
                return checked(*args, **kwargs)
            except BeartypeCallHintViolation as error:
                raise jaxtyping.TypeCheckError(str(error)) from error

    return wrapped
