"""Options of the command line, laid over a suite."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from lipar_lab.ablation.rows import chosen_rows
from lipar_lab.ablation.suite import Suite, SuiteRow


@attrs.frozen(kw_only=True)
class Overrides:
    """What was typed; None: as in the suite."""

    quick: bool = False
    rows: tuple[str, ...] | None = None
    extra: Sequence[SuiteRow] = ()
    """Rows in addition to the suite's."""
    kept: tuple[float, ...] | None = None
    strengths: tuple[float, ...] | None = None
    seeds: tuple[int, ...] | None = None
    metrics: tuple[str, ...] | None = None
    clips: int | None = None
    frames: int | None = None
    size: int | None = None
    files: tuple[Path, ...] = ()
    prompts: tuple[str, ...] = ()
    """For the files."""
    rounds: int | None = None

    def over(self, suite: Suite) -> Suite:
        """The suite as it is run.

        Args:
            suite: as read.

        Raises:
            LookupError: no row has a name that was typed.
            ValueError: a variant has the name of a row, or the suite's rows do not fit the fractions.
        """
        quick = suite.quick
        if self.quick:
            counts = {"count": quick.clips, "frames": quick.frames, "size": quick.size}
            suite = attrs.evolve(
                suite, **_given(kept=quick.kept, strengths=quick.strengths, seeds=quick.seeds)
            )
            suite = attrs.evolve(
                suite,
                clips=attrs.evolve(suite.clips, **_given(**counts)),
                timing=attrs.evolve(suite.timing, **_given(rounds=quick.rounds), clips=1),
                **_given(metrics=quick.metrics, mechanism_clips=quick.mechanism_clips),
            )
        suite = chosen_rows(suite, quick.rows if self.quick and self.rows is None else self.rows, self.extra)
        clips = attrs.evolve(suite.clips, **_given(count=self.clips, frames=self.frames, size=self.size))
        if self.files:
            clips = attrs.evolve(clips, files=tuple(map(str, self.files)), prompts=self.prompts)
        return attrs.evolve(
            suite,
            clips=clips,
            timing=attrs.evolve(suite.timing, **_given(rounds=self.rounds)),
            **_given(kept=self.kept, strengths=self.strengths, seeds=self.seeds, metrics=self.metrics),
        )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
