"""The rows of an ablation: strategies, and references to compare them with."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from lipar.config import Config, build_config

How = Literal["strategy", "dense", "other-seed", "random", "ceiling", "ceiling-source"]
"""How a row is run: `strategy` prunes by the shared masks, `random` the same number of tokens in every frame at random
places; the others prune nothing and are references."""

REFERENCE = "paper"
"""The row from which the differences of the others are taken."""


@attrs.frozen(kw_only=True)
class Row:
    """One row: its settings are applied on top of the config of the ablation."""

    name: str
    settings: tuple[str, ...] = ()
    """`key=value`, as for the option `--set`."""
    how: How = "strategy"
    about: str = ""
    """What the row is, in a few words."""


_CLEAN = ("recovery=m-degree", "noise=kv-cache")
_STEP_IN_BLOCK = ("recovery=m-degree", "noise=step-matched")
_STEP = (*_STEP_IN_BLOCK, "noise.in_block=false")
_SHIFT_IN_BLOCK = ("recovery=m-degree", "noise=step-shift")
_SHIFT = (*_SHIFT_IN_BLOCK, "noise.in_block=false")


def _strategy(name: str, about: str, *settings: str) -> Row:
    return Row(name=name, settings=settings, about=about)


ROWS: tuple[Row, ...] = (
    Row(name="dense", how="dense", about="every token computed"),
    Row(name="other-seed", how="other-seed", about="dense with another seed, for reference"),
    _strategy("none", "pruned tokens are absent from attention", "recovery=none"),
    _strategy(REFERENCE, "clean donors of the last frame before the block, every copy rotated", *_CLEAN),
    _strategy("paper-m1", "the same, one copy", *_CLEAN, "recovery.degree=1"),
    _strategy("proportional", "one copy, log(n) on its score", "recovery=proportional", _CLEAN[1]),
    _strategy(
        "proportional-first",
        "the same, by the kept token itself",
        "recovery=proportional",
        "recovery.stands=first",
        _CLEAN[1],
    ),
    _strategy("naive-copy", "clean donors that keep their own position", "recovery=naive-copy", _CLEAN[1]),
    _strategy("noisy-chain", "copies of the noisy token before", "recovery=m-degree", "noise=noisy-chain"),
    _strategy("filtering", "noisy copies, filtered", "recovery=m-degree", "noise=filtering"),
    _strategy("step-matched", "donors of the block before at the same denoise step", *_STEP),
    _strategy("step-matched-same", "frame f takes frame f of the block before", *_STEP, "noise.frame=same"),
    _strategy(
        "step-matched-in-block",
        "a kept token earlier in the block comes first",
        *_STEP_IN_BLOCK,
    ),
    _strategy(
        "step-matched-log-n",
        "one copy, log(n) on its score",
        *_STEP,
        "recovery.degree=1",
        "recovery.weigh=true",
    ),
    _strategy("step-shift", "clean donors and one mean shift per layer and step", *_SHIFT),
    _strategy(
        "step-shift-kept", "measured on this block's kept tokens", *_SHIFT, "noise.measured_on=kept-tokens"
    ),
    _strategy(
        "step-shift-noise", "with Gaussian noise of the step's variance", *_SHIFT, "noise.fresh_noise=true"
    ),
    _strategy(
        "step-shift-in-block", "a kept token earlier in the block comes first: the default", *_SHIFT_IN_BLOCK
    ),
    Row(name="random", settings=_CLEAN, how="random", about="the paper's, pruned at random places"),
    Row(
        name="ceiling",
        how="ceiling",
        about="clean history with fresh noise through the whole network: saves nothing, for reference",
    ),
    Row(
        name="ceiling-source",
        how="ceiling-source",
        about="the same with the dense run's noise, and at the first step its source",
    ),
)


def row_config(
    row: Row,
    *,
    preset: str | None = None,
    file: Path | None = None,
    settings: Iterable[str | Mapping[str, Any]] = (),
) -> Config:
    """The config of a row; scene cuts are off, since masks are made before the run.

    Args:
        row: the row; without settings, as for references, it gets those of `paper`.
        preset: preset to start from.
        file: TOML file with a config.
        settings: `key=value` for all rows, applied before the row's own.
    """
    wanted = [*settings, *(row.settings or _CLEAN), "prune.scene_cuts=false"]
    return build_config(preset=preset, file=file, settings=wanted)


def chosen_rows(names: Sequence[str] | None, extra: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with these names, in the order of `ROWS`; `dense`, `paper` and the extra rows are always included.

    Args:
        names: names of rows; None: all.
        extra: rows in addition to `ROWS`.

    Raises:
        LookupError: no row has that name.
        ValueError: an extra row has the name of another row.
    """
    known = {row.name: row for row in ROWS}
    for row in extra:
        if row.name in known:
            raise ValueError(f"--variant {row.name!r}: this name is taken by a row of the ablation")
        known[row.name] = row
    if names is None:
        return tuple(known.values())
    for name in names:
        if name not in known:
            raise LookupError(f"no row named {name!r}; there are: {', '.join(known)}")
    needed = {"dense", REFERENCE, *names, *(row.name for row in extra)}
    return tuple(row for row in known.values() if row.name in needed)
