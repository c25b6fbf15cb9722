"""What an ablation runs, and the loaded model that runs it in one process."""

from collections.abc import Iterator
from typing import Any

import attrs
import torch

from lipar.config import Config
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_adapter
from lipar.protocols import Autoencoder, Model
from lipar_lab.ablation.clips import AblationClip, ClipSource
from lipar_lab.ablation.rows import Row


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that decides the figures of an ablation; it is sent to worker processes."""

    base: Config
    """The config from which adapter, cache and masks are taken."""
    rows: tuple[Row, ...]
    configs: dict[str, Config]
    """Config of each row by its name, without the strength."""
    clips: ClipSource
    kept: tuple[float, ...]
    """Wanted kept fractions of the blocks after the first, above 0 and at most 1."""
    strengths: tuple[float, ...]
    """Strengths of the edit, 0..1."""
    device: str = "cpu"

    def config(self, row: Row, strength: float) -> Config:
        """The config of a row at a strength; `other-seed` gets the next seed."""
        config = attrs.evolve(self.configs[row.name], strength=strength)
        if row.how == "other-seed":
            config = attrs.evolve(config, seed=config.seed + 1)
        return config

    def cells(self) -> Iterator["Cell"]:
        """All cells, clip by clip, then by strength, kept fraction and row."""
        for clip in range(len(self.clips)):
            for strength in self.strengths:
                for kept in self.kept:
                    for row in self.rows:
                        yield Cell(clip, strength, kept, row.name)

    def sameness(self) -> dict[str, Any]:
        """What must be equal for all cells of one record: its first line. JSON values."""
        clips = attrs.asdict(self.clips)
        clips.pop("count")  # clip i is the same however many there are
        return {"base": repr(self.base), "clips": {key: repr(value) for key, value in clips.items()}}


@attrs.frozen
class Cell:
    """One run of the plan."""

    clip: int
    """Number of the clip."""
    strength: float
    kept: float
    row: str
    """Name of the row."""

    @classmethod
    def of(cls, line: dict[str, Any]) -> "Cell":
        """The cell of a line of the record."""
        return cls(line["clip"], line["strength"], line["kept"], line["row"])


@attrs.frozen(kw_only=True)
class LoadedModel:
    """A model with its autoencoder, its adapter and the plugins."""

    adapter: object
    model: Model
    autoencoder: Autoencoder
    host: PluginHost

    @classmethod
    def load(cls, plan: Plan) -> "LoadedModel":
        """Load the plan's model in float32, and turn TF32 off in this process.

        Raises:
            ValueError: the model has no autoencoder, so pixels cannot be compared.
        """
        host = load_plugins()
        adapter = make_adapter(host, plan.base)
        # float32 as it stands: rounding must not pass for a strategy's error
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        model = adapter.load(torch.device(plan.device), torch.float32)
        if model.autoencoder is None:
            raise ValueError("this model has no autoencoder; an ablation compares decoded pixels too")
        return cls(adapter=adapter, model=model, autoencoder=model.autoencoder, host=host)

    def clip(self, plan: Plan, index: int) -> AblationClip:
        """Read or make clip number `index` of the plan."""
        return plan.clips.get(index, self.adapter, self.model)


def reason_it_cannot_run(host: PluginHost, config: Config) -> str | None:
    """Why the parts of a row cannot be made or cannot run on the model; None if they can."""
    try:
        check_config(host, config)
    except (LookupError, ValueError) as error:
        return str(error.args[0]) if error.args else type(error).__name__
    return None
