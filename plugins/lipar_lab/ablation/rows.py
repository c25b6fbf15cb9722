"""The rows of an ablation: those of a suite, each crossed with the values of the axes."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from lipar.config import Config, build_config
from lipar_lab.ablation.suite import Axis, How, Suite, SuiteRow

Setting = str | Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Row:
    """A row of a suite at one value of every axis."""

    name: str
    """With the values of the axes, if the row has more than one."""
    settings: tuple[str, ...] = ()
    """Those of the axes, then the row's own; values may contain `{kept}` and `{pruned}`."""
    how: How = "strategy"
    about: str = ""
    kept: tuple[float, ...] | None = None
    """The kept fractions at which it is run; None: all."""
    at: tuple[tuple[str, str], ...] = ()
    """The value of each axis."""
    of_axes: tuple[str, ...] = ()
    """Settings of these values alone: the shared masks are made with them."""
    dense: str
    """Name of the row that it is compared with."""
    reference: str | None
    """Name of the row from which its difference is taken; None: there is none at its values of the axes."""

    def at_kept(self, kept: float) -> list[str]:
        """The settings at a kept fraction."""
        return [
            setting.replace("{kept}", f"{kept:.6g}").replace("{pruned}", f"{1 - kept:.6g}")
            for setting in self.settings
        ]


def chosen_rows(suite: Suite, names: Sequence[str] | None, extra: Sequence[SuiteRow] = ()) -> Suite:
    """The suite with these rows only, in its own order; dense row, reference and extra rows are always included.

    Args:
        suite: as read.
        names: names of rows; None: all.
        extra: rows in addition to the suite's.

    Raises:
        LookupError: no row has that name.
        ValueError: an extra row has the name of another row.
    """
    known = {row.name: row for row in suite.rows}
    for row in extra:
        if row.name in known:
            raise ValueError(f"--variant {row.name!r}: this name is taken by a row of the suite")
        known[row.name] = row
    wanted = set(known if names is None else names)
    for name in wanted:
        if name not in known:
            raise LookupError(f"no row named {name!r}; there are: {', '.join(known)}")
    wanted |= {suite.dense.name, suite.reference, *(row.name for row in extra)}
    rows = tuple(row for row in known.values() if row.name in wanted)
    quick = attrs.evolve(suite.quick, rows=None)  # the choice is made
    return attrs.evolve(suite, rows=rows, quick=quick)


def crossed_rows(suite: Suite) -> tuple[Row, ...]:
    """Every row of a suite at all values of the axes that it has."""
    return tuple(_row(suite, row, dict(at)) for row in suite.rows for at in _values(suite.axes, row))


def _values(axes: Sequence[Axis], row: SuiteRow) -> Iterator[tuple[tuple[str, str], ...]]:
    choices = [[(axis.name, value) for value in row.at.get(axis.name, axis.values)] for axis in axes]
    return itertools.product(*choices)


def _row(suite: Suite, row: SuiteRow, at: dict[str, str]) -> Row:
    axes = {axis.name: axis for axis in suite.axes}
    of_axes = tuple(setting for name, value in at.items() for setting in axes[name].values[value])
    dense_at = {name: axes[name].dense or value for name, value in at.items()}
    reference = next(found for found in suite.rows if found.name == suite.reference)
    return Row(
        name=_name(suite.axes, row, at),
        settings=(*of_axes, *row.settings),
        how=row.how,
        about=row.about,
        kept=row.kept,
        at=tuple(at.items()),
        of_axes=of_axes,
        dense=_name_near(suite, suite.dense, dense_at) or _name(suite.axes, suite.dense, dense_at),
        reference=_name_near(suite, reference, dense_at),
    )


def _name(axes: Sequence[Axis], row: SuiteRow, at: Mapping[str, str]) -> str:
    several = [at[axis.name] for axis in axes if len(row.at.get(axis.name, axis.values)) > 1]
    return f"{row.name} ({', '.join(several)})" if several else row.name


def _name_near(suite: Suite, row: SuiteRow, at: Mapping[str, str]) -> str | None:
    """The name of a row at these values; where it has a single value of an axis, at that."""
    near = {}
    for axis in suite.axes:
        has = row.at.get(axis.name, tuple(axis.values))
        if at[axis.name] not in has and len(has) > 1:
            return None
        near[axis.name] = at[axis.name] if at[axis.name] in has else has[0]
    return _name(suite.axes, row, near)


def row_config(settings: Iterable[Setting], row: Row, kept: float) -> Config:
    """The config of a row at a kept fraction; scene cuts are off, since shared masks are made before the run.

    Args:
        settings: for all rows, applied before the row's own.
        row: the row.
        kept: the kept fraction that its settings may mention.
    """
    return build_config(settings=[*settings, *row.at_kept(kept), "prune.scene_cuts=false"])
