"""What an ablation runs, and the model and the plugins that one process runs it with."""

from collections.abc import Iterator
from typing import Any

import attrs
import torch

from lipar.config import Config
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_streaming_adapter
from lipar.protocols import Autoencoder, Model
from lipar_lab.ablation.clips import AblationClip, ClipSource
from lipar_lab.ablation.rows import Row


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that decides an ablation; it travels to worker processes."""

    base: Config
    """Gives the adapter, the cache and the mask."""
    rows: tuple[Row, ...]
    configs: dict[str, Config]
    """Of each row, before strength."""
    clips: ClipSource
    kept: tuple[float, ...]
    strengths: tuple[float, ...]
    device: str = "cpu"

    def config(self, row: Row, strength: float) -> Config:
        """A row's config at a strength."""
        config = attrs.evolve(self.configs[row.name], strength=strength)
        if row.how == "other-seed":
            config = attrs.evolve(config, seed=config.seed + 1)
        return config

    def cells(self) -> Iterator["Cell"]:
        """Every cell, clip by clip."""
        for clip in range(len(self.clips)):
            for strength in self.strengths:
                for kept in self.kept:
                    for row in self.rows:
                        yield Cell(clip, strength, kept, row.name)

    def sameness(self) -> dict[str, Any]:
        """What must agree between cells that are compared; stands at the top of the record."""
        clips = attrs.asdict(self.clips)
        clips.pop("count")  # clip i is the same however many there are
        return {"base": repr(self.base), "clips": {key: repr(value) for key, value in clips.items()}}


@attrs.frozen
class Cell:
    """One run to be made: the row's name, and under what."""

    clip: int
    strength: float
    kept: float
    row: str

    @classmethod
    def of(cls, line: dict[str, Any]) -> "Cell":
        """The cell that a line of the record is of."""
        return cls(line["clip"], line["strength"], line["kept"], line["row"])


@attrs.frozen(kw_only=True)
class Bench:
    """A loaded model and its plugins."""

    adapter: object
    model: Model
    coder: Autoencoder
    host: PluginHost

    @classmethod
    def load(cls, plan: Plan) -> "Bench":
        """Load the plan's model.

        Raises:
            ValueError: it has no autoencoder, so there is no picture to judge.
        """
        host = load_plugins()
        adapter = make_streaming_adapter(host, plan.base)
        # float32 as it stands: rounding must not pass for a strategy's error
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        model = adapter.load(torch.device(plan.device), torch.float32)
        if model.autoencoder is None:
            raise ValueError("this model has no autoencoder; an ablation compares decoded pixels too")
        return cls(adapter=adapter, model=model, coder=model.autoencoder, host=host)

    def clip(self, plan: Plan, index: int) -> AblationClip:
        """Clip number `index` of the plan."""
        return plan.clips.get(index, self.adapter, self.model)


def reason_it_cannot_run(host: PluginHost, config: Config) -> str | None:
    """Why a row's parts cannot be made or cannot run on the model, or None."""
    try:
        check_config(host, config)
    except (LookupError, ValueError) as error:
        return str(error.args[0]) if error.args else type(error).__name__
    return None
