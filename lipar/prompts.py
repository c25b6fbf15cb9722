"""Prompts that change during a video: which prompt is valid from which moment on.

    --prompt "a clear night"                          one prompt: plain text, whatever it contains
    --prompt "0:night" --prompt "4s:snow"             several: each is MOMENT:TEXT

    MOMENT := 0 | SECONDS s | FRAME f                 4s, 1.5s: time since the first frame; 120f: frame 120, from 0
    TEXT   := everything after the first colon        further colons belong to it

The number of prompts alone decides how they are read, so that no colon in a plain prompt is taken for a moment.
"""

import warnings
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

import attrs

from lipar.bounds import shown
from lipar.video.moment import BEGIN, Moment

PromptSource: TypeAlias = Callable[[int], str | None]
"""Called with the index of the first latent frame of each block, right before the block is computed: its prompt, or
None to leave the model's prompt as it is."""


class PromptWarning(UserWarning):
    """A prompt that may have been meant otherwise."""


@attrs.frozen
class TimedPrompt:
    """A prompt and the moment from which on it is valid."""

    moment: Moment
    text: str

    @property
    def begins(self) -> str:
        """The moment as it is written in a schedule."""
        return "0" if self.moment.is_begin else str(self.moment)

    def __str__(self) -> str:
        return f"{self.begins}:{self.text}"


@attrs.frozen
class PromptSchedule:
    """Prompts of a video in the order in which they take effect; the first is valid from the beginning.

    A prompt takes effect with the first block that begins at or after its moment, since the frames of a block are
    denoised together. If two do so in the same block, the later one is taken.

    Example:
        >>> schedule = PromptSchedule.of([(0, "night"), ("4s", "snow")])
        >>> schedule.at(pixel_frame=96, seconds=Fraction(4))
        'snow'
        >>> print(*schedule.entries, sep=" | ")
        0:night | 4s:snow

    Raises:
        ValueError: no prompt, an empty one, the first not at 0, or moments of one unit that do not rise.
    """

    entries: tuple[TimedPrompt, ...]

    def __attrs_post_init__(self) -> None:
        if not self.entries:
            raise ValueError("there is no prompt; say in a few words what the result should look like")
        for entry in self.entries:
            if not entry.text.strip():
                at = f" at {entry.begins}" if len(self.entries) > 1 else ""
                raise ValueError(
                    f"the prompt{at} is empty; say in a few words what the result should look like"
                )
        first = self.entries[0]
        if not first.moment.is_begin:
            raise ValueError(f"the first prompt must begin at 0, got {first.begins}; write 0:TEXT first")
        for unit in ("seconds", "frame"):
            timed = [
                (getattr(entry.moment, unit) or 0, entry)
                for entry in self.entries
                if entry.moment.is_begin or getattr(entry.moment, unit) is not None
            ]
            for (before, earlier), (after, later) in pairwise(timed):
                if after <= before:
                    raise ValueError(
                        "prompts stand in the order in which they take effect, but "
                        f"{later.begins} follows {earlier.begins}"
                    )

    @classmethod
    def parse(cls, given: Sequence[str]) -> "PromptSchedule":
        """Read prompts of a command line: a single one is plain text, of several each is `MOMENT:TEXT`.

        Raises:
            ValueError: as the class, or one of several has no moment.

        Warns:
            PromptWarning: the only prompt looks like `MOMENT:TEXT`.
        """
        if len(given) == 1:
            moment, colon, _ = given[0].partition(":")
            if colon and _is_moment(moment):
                warnings.warn(
                    f"the only prompt is used as it is, {moment!r} and colon included; several prompts make a schedule",
                    PromptWarning,
                    stacklevel=2,
                )
            return cls.plain(given[0])
        entries = []
        for text in given:
            moment, colon, prompt = text.partition(":")
            if not colon:
                raise ValueError(f"{shown(text)}: of several prompts each is MOMENT:TEXT, such as 4s:snow")
            try:
                entries.append(TimedPrompt(_moment(moment), prompt.strip()))
            except ValueError as error:
                raise ValueError(
                    f"{shown(text)}: of several prompts each is MOMENT:TEXT, but {error.args[0]}"
                ) from error
        return cls(tuple(entries))

    @classmethod
    def plain(cls, text: str) -> "PromptSchedule":
        """One prompt for the whole video."""
        return cls((TimedPrompt(BEGIN, text),))

    @classmethod
    def of(cls, given: "str | Sequence[tuple[str | int, str]] | PromptSchedule") -> "PromptSchedule":
        """A schedule from a plain prompt, from pairs of moment and text, or as it is.

        Raises:
            TypeError: it is none of these.
            ValueError: as the class.
        """
        if isinstance(given, PromptSchedule):
            return given
        if isinstance(given, str):
            return cls.plain(given)
        untyped: Any = given  # a caller's annotations may be wrong
        pairs: list[Any] = list(untyped) if isinstance(untyped, Sequence) else [None]
        for pair in pairs:
            shape = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
            if not shape or not isinstance(pair[0], str | int) or not isinstance(pair[1], str):
                raise TypeError(
                    'a prompt is a text, or pairs of a moment and a text such as [(0, "night"), ("4s", "snow")], '
                    f"got {shown(given)}"
                )
        return cls(tuple(TimedPrompt(_moment(moment), text) for moment, text in pairs))

    @property
    def first(self) -> str:
        """The prompt that the video begins with."""
        return self.entries[0].text

    def at(self, pixel_frame: int, seconds: Fraction) -> str:
        """The prompt of a block that begins with a pixel frame.

        Args:
            pixel_frame: its index in the video.
            seconds: when it is shown, since the first frame.
        """
        return [entry for entry in self.entries if entry.moment.is_over(pixel_frame, seconds)][-1].text


def _moment(given: str | int) -> Moment:
    """Read `0`, `4s`, `1.5s` or `120f`; 0 may be a number.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(given, str):
        return BEGIN if given.strip() == "0" else Moment.of(given)
    if given:
        raise ValueError(f"{given} is no moment; write seconds as 4s, or a frame as 120f")
    return BEGIN


def _is_moment(text: str) -> bool:
    try:
        _moment(text)
    except ValueError:
        return False
    return text == text.strip()
