"""Checks of what plugins return: types and shapes in every call, values once per block.

On a GPU the host waits for each value that it reads. So the checks of values are collected on the device while a block
runs, and read together at its end.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
Blame = Callable[[], Exception | None]
"""Finds out after a check failed what was wrong, and in which part; None: nothing found. May be slow."""


class AnswerError(ValueError):
    """A part or a hook of a plugin returned something that cannot be used; the message names both."""


class Checks:
    """The checks of one run whose values have not been read yet; the parts of a run share it.

    Ranges are read by `settle`. Suspects cost nothing until a range is wrong: only then are they examined, in the order
    of their results, and the first with a fault of its own is to blame.
    """

    def __init__(self) -> None:
        self._ranges: list[tuple[Tensor, Tensor, bool, Blame]] = []
        self._suspects: list[tuple[str | None, Blame]] = []

    def __reduce__(self) -> tuple[type["Checks"], tuple[()]]:
        return Checks, ()  # a copy of a run's parts has a run of its own

    def expect(self, values: Tensor, blame: Blame, *, at_least_0: bool = False) -> None:
        """Let the next `settle` check that all values are finite.

        Args:
            values: any floats; only their least and largest are kept.
            blame: gives the error if they are not.
            at_least_0: check that none is below 0, too.
        """
        if not values.numel():
            return
        # one kernel for both, and NaN comes through
        least, largest = values.detach().aminmax()
        self._ranges.append((least, largest, at_least_0, blame))

    def suspect(self, who: str | None, blame: Blame) -> None:
        """Remember a result that may be the cause of NaN or infinity later.

        Args:
            who: the part or hook, for `suspects`; None: one of lipar's own.
            blame: gives the error if it was.
        """
        self._suspects.append((who, blame))

    def blamed(self) -> Exception | None:
        """The error of the first suspect that is to blame for values that are not finite."""
        return next((error for _, blame in self._suspects if (error := blame()) is not None), None)

    @property
    def suspects(self) -> list[str]:
        """Parts and hooks of plugins that may be the cause, each once."""
        return list(dict.fromkeys(who for who, _ in self._suspects if who is not None))

    def settle(self) -> None:
        """Read all ranges, for which the host waits once, and forget them.

        Raises:
            AnswerError: a value is out of its range; or another error that `blame` gave.
        """
        ranges = self._ranges
        try:
            if not ranges:
                return
            # all are on one device, except those of a source on another one
            device = ranges[-1][0].device
            bounds = [bound.float().to(device) for least, most, *_ in ranges for bound in (least, most)]
            read = torch.stack(bounds).tolist()
            for index, (_, _, at_least_0, blame) in enumerate(ranges):
                least, largest = read[2 * index : 2 * index + 2]
                holds = largest < math.inf and (least >= 0 if at_least_0 else least > -math.inf)
                if not holds and (error := blame()) is not None:
                    raise error
        finally:
            self.forget()

    def forget(self) -> None:
        """Drop all ranges and suspects: the block that they are from has failed."""
        self._ranges, self._suspects = [], []


def came(answer: object) -> str:
    """A result in the words of messages."""
    if isinstance(answer, Tensor):
        return f"a tensor {str(answer.dtype).removeprefix('torch.')}{list(answer.shape)} on {answer.device}"
    if answer is None or isinstance(answer, bool | int | float | str):
        return repr(answer)
    kind = type(answer)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"a {name} of {len(answer)}" if isinstance(answer, tuple | list) else f"a {name}"


def check_tensor(
    who: str,
    what: str,
    answer: object,
    *,
    shape: Sequence[int],
    device: torch.device,
    dtype: torch.dtype | None = None,
    integer: bool = False,
) -> Tensor:
    """The same object, known to be a dense tensor of this shape, device and type.

    Args:
        who: the part or hook, for the message.
        what: what it was asked for, for the message.
        answer: what it returned.
        shape: that it must have.
        device: that it must be on.
        dtype: that it must have; None: any floating-point type, or with `integer` any integer type.
        integer: whether integers are wanted, if `dtype` is None.

    Raises:
        AnswerError: it is something else.
    """
    if isinstance(answer, Tensor):
        fits = (
            answer.dtype == dtype
            if dtype is not None
            else answer.dtype in (torch.int64, torch.int32)
            if integer
            else answer.dtype in _FLOATS
        )
        dense = answer.layout is torch.strided
        if fits and dense and tuple(answer.shape) == tuple(shape) and answer.device == device:
            return answer
    kind = "integer" if integer else "floating-point" if dtype is None else str(dtype).removeprefix("torch.")
    raise AnswerError(
        f"{who} gave {came(answer)} as {what}; return a dense {kind} tensor {list(shape)} on {device}"
    )


def are_finite(*tensors: Tensor | None) -> bool:
    """Whether all values are finite; waits for the device."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors if tensor is not None)


def spoilt(values: Tensor, *, at_least_0: bool = False) -> str:
    """How many values are NaN, infinite or (with `at_least_0`) negative, in words; waits for the device."""
    counts = {"NaN": int(values.isnan().sum()), "infinite": int(values.isinf().sum())}
    if at_least_0:
        counts["negative"] = int((values < 0).sum())
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
