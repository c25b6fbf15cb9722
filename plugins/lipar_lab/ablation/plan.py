"""What an ablation runs, and the loaded model that runs it in one process."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import torch

from lipar.config import Config
from lipar.metrics.table import METRICS, Metric
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_streaming_adapter
from lipar.protocols import Autoencoder, Model
from lipar_lab.ablation.clips import AblationClip, ClipSource
from lipar_lab.ablation.metric_table import metrics_with
from lipar_lab.ablation.rows import Row, Setting, row_config
from lipar_lab.ablation.suite import Suite, Timing, Videos


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that decides the figures of an ablation; it is sent to worker processes."""

    title: str = ""
    about: str = ""
    base: Config
    """The config without a row, from which the adapter is taken."""
    rows: tuple[Row, ...]
    configs: Mapping[tuple[str, float], Config]
    """Config by the name of the row and the kept fraction, without strength and seed."""
    mask_configs: Mapping[tuple[str, ...], Config]
    """Config from which the shared masks are made, by the settings of the axes."""
    clips: ClipSource
    kept: tuple[float, ...]
    """Wanted kept fractions of the blocks after the first, above 0 and at most 1."""
    strengths: tuple[float, ...]
    """Strengths of the edit, 0..1."""
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = ()
    """Names of `lipar.metrics.table.METRICS`."""
    timing: Timing = attrs.field(factory=Timing)
    videos: Videos | None = None
    lpips: str | None = None
    """File with the weights of LPIPS."""
    reference: str
    """The suite's reference row, for headings."""
    device: str = "cpu"

    def config(self, row: Row, cell: "Cell") -> Config:
        """The config of a row in a cell; `other-seed` gets the next seed."""
        seed = cell.seed + (row.how == "other-seed")
        return attrs.evolve(self.configs[row.name, cell.kept], strength=cell.strength, seed=seed)

    def row(self, name: str) -> Row:
        """The row of a name."""
        return next(row for row in self.rows if row.name == name)

    def rows_at(self, kept: float) -> list[Row]:
        """The rows that are run at a kept fraction."""
        return [row for row in self.rows if row.kept is None or kept in row.kept]

    def cells(self) -> Iterator["Cell"]:
        """All cells, clip by clip, then by strength, seed, kept fraction and row."""
        for clip in range(len(self.clips)):
            for strength in self.strengths:
                for seed in self.seeds:
                    for kept in self.kept:
                        for row in self.rows_at(kept):
                            yield Cell(clip, strength, seed, kept, row.name)

    def sameness(self) -> dict[str, Any]:
        """What must be equal for all cells of one record: its first line. JSON values."""
        clips = attrs.asdict(self.clips)
        clips.pop("count")  # clip i is the same however many there are
        return {"base": repr(self.base), "clips": {key: repr(value) for key, value in clips.items()}}

    def identity(self, row: Row, kept: float) -> dict[str, Any]:
        """What must be equal for one row's lines of a record. JSON values."""
        return {"settings": row.at_kept(kept), "how": row.how, "dense": row.dense}


@attrs.frozen
class Cell:
    """One run of the plan."""

    clip: int
    """Number of the clip."""
    strength: float
    seed: int
    kept: float
    row: str
    """Name of the row."""

    @classmethod
    def of(cls, line: dict[str, Any]) -> "Cell":
        """The cell of a line of the record."""
        return cls(line["clip"], line["strength"], line["seed"], line["kept"], line["row"])


@attrs.frozen(kw_only=True)
class LoadedModel:
    """A model with its autoencoder, its adapter and the plugins."""

    adapter: object
    model: Model
    autoencoder: Autoencoder
    host: PluginHost
    metrics: Mapping[str, Metric] = METRICS

    @classmethod
    def load(cls, plan: Plan) -> "LoadedModel":
        """Load the plan's model in float32, and turn TF32 off in this process.

        Raises:
            ValueError: the model has no autoencoder, so pixels cannot be compared.
        """
        host = load_plugins()
        adapter = make_streaming_adapter(host, plan.base)
        # full float32, so that rounding is not counted as an error of a strategy
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        model = adapter.load(torch.device(plan.device), torch.float32)
        if model.autoencoder is None:
            raise ValueError("this model has no autoencoder; an ablation compares decoded pixels too")
        return cls(
            adapter=adapter,
            model=model,
            autoencoder=model.autoencoder,
            host=host,
            metrics=metrics_with(plan.lpips),
        )

    def clip(self, plan: Plan, index: int) -> AblationClip:
        """Read or make clip number `index` of the plan."""
        return plan.clips.get(index, self.adapter, self.model)


def planned(
    suite: Suite,
    rows: tuple[Row, ...],
    settings: list[Setting],
    clips: ClipSource,
    *,
    base: Config,
    device: str = "cpu",
    lpips: str | None = None,
) -> Plan:
    """The plan of a suite with these rows.

    Args:
        suite: gives fractions, strengths, seeds, figures and timing.
        rows: the rows that can run, see `runnable`.
        settings: for all rows, before their own.
        clips: the clips.
        base: the config of `settings` alone.
        device: where the model runs.
        lpips: file with the weights of LPIPS, which is then among the figures.
    """
    return Plan(
        title=suite.title,
        about=suite.about,
        base=base,
        rows=rows,
        configs={(row.name, kept): row_config(settings, row, kept) for row in rows for kept in suite.kept},
        mask_configs={
            row.of_axes: row_config(settings, attrs.evolve(row, settings=row.of_axes), 1.0) for row in rows
        },
        clips=clips,
        kept=suite.kept,
        strengths=suite.strengths,
        seeds=suite.seeds,
        metrics=(*suite.metrics, *([] if lpips is None or "lpips" in suite.metrics else ["lpips"])),
        timing=suite.timing,
        videos=suite.videos,
        lpips=lpips,
        reference=suite.reference,
        device=device,
    )


def runnable(
    host: PluginHost, suite: Suite, rows: tuple[Row, ...], settings: list[Setting], base: Config
) -> tuple[tuple[Row, ...], dict[str, str]]:
    """The rows that can run, and the reason by the name of each other one.

    Args:
        host: the plugins.
        suite: gives the fractions.
        rows: all rows.
        settings: for all rows, before their own.
        base: the config of `settings` alone; all rows share its model.
    """
    can, reasons = [], {}
    for row in rows:
        reason = _reason(host, settings, row, (row.kept or suite.kept)[0], base)
        if reason is None:
            can.append(row)
        else:
            reasons[row.name] = reason
    return tuple(can), reasons


def _reason(host: PluginHost, settings: list[Setting], row: Row, kept: float, base: Config) -> str | None:
    try:
        config = row_config(settings, row, kept)
    except (LookupError, ValueError) as error:  # a setting of a section that is not known
        return _first(error)
    if config.adapter != base.adapter:
        return "its settings name another adapter; rows of one ablation share the model"
    return reason_it_cannot_run(host, config)


def reason_it_cannot_run(host: PluginHost, config: Config) -> str | None:
    """Why the parts of a row cannot be made or cannot run on the model; None if they can."""
    try:
        check_config(host, config)
    except (LookupError, ValueError) as error:
        return _first(error)
    return None


def _first(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
