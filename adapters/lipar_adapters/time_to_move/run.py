"""The parts of `lipar ttm` that need torch."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor
from tqdm import tqdm

from lipar.cli.options import ConfigChoice
from lipar.config import Config, ConfigError, PartConfig
from lipar.enabling.settings import fitted
from lipar.files.owner import Outputs
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_part, make_parts
from lipar.video import VideoWriter
from lipar.video.contact_sheet import write_contact_sheet
from lipar_adapters.time_to_move.motion import MotionAdapter, MotionClip, MotionModel, MotionScene
from lipar_adapters.wan.target import FACTS


def config_of(host: PluginHost, choice: ConfigChoice) -> Config | None:
    """The config of a run; None where no option asks for one: the model then prunes by its own defaults.

    Args:
        host: the plugins, which offer the parts.
        choice: from the command line.

    Raises:
        ConfigError: a value is wrong, or a part cannot be made.
    """
    if not choice.given:
        return None
    config = choice.build(base=fitted(Config(), host, FACTS))
    make_parts(host, config)  # what cannot work is refused before the model is loaded
    return config


def adapter_of(host: PluginHost, options: dict[str, Any]) -> MotionAdapter:
    """The adapter `ttm`.

    Args:
        host: the plugins; another one may offer an adapter of this name.
        options: of the adapter.

    Raises:
        ConfigError: the adapter does not make clips from a motion video.
    """
    adapter = make_part(host, "adapter", PartConfig("ttm", options))
    if not isinstance(adapter, MotionAdapter):
        raise ConfigError("the adapter 'ttm' of a plugin makes no clips from a motion video")
    return adapter


@attrs.frozen
class MotionRun:
    """A loaded model with the plugins and the config of a run."""

    model: MotionModel
    host: PluginHost
    config: Config | None
    """None: the model's own defaults."""
    quiet: bool = attrs.field(kw_only=True)

    def make(self, scene: MotionScene, *, dense: bool) -> MotionClip:
        """Generate a clip, with a progress bar.

        Args:
            scene: what the model prepared.
            dense: compute every token.
        """
        with tqdm(
            total=scene.steps - scene.first_step,
            desc="dense" if dense else "pruned",
            unit="step",
            disable=True if self.quiet else None,
        ) as bar:

            def progress(done: int, total: int) -> None:
                bar.update(done - bar.n)

            return self.model.generate(
                scene, dense=dense, config=self.config, host=self.host, progress=progress
            )


def make_clips(
    run: MotionRun, scene: MotionScene, *, dense: bool, compare: bool
) -> tuple[MotionClip, MotionClip | None]:
    """The clip that was asked for, and with `compare` the dense one to compare it with.

    Args:
        run: the loaded model.
        scene: what the model prepared.
        dense: compute every token; not together with `compare`.
        compare: generate the clip dense as well.
    """
    if not compare:
        return run.make(scene, dense=dense), None
    run.model.warm_up(scene)  # else the first of the two would be timed with what happens once
    reference = run.make(scene, dense=True)
    return run.make(scene, dense=False), reference


def write_files(
    clips: Sequence[Tensor],
    rate: Fraction,
    output: Path,
    *,
    sheet: tuple[Path, Tensor] | None = None,
    figures: tuple[Path, str] | None = None,
) -> None:
    """Write the clips, a contact sheet and the figures; all files appear together, when all are complete.

    Args:
        clips: `frames 3 height width` each, in [0, 1], of one size; they are written side by side.
        rate: frames per second.
        output: file of the clips.
        sheet: file of a contact sheet, and the frames of its first row.
        figures: file of the figures, and its text.
    """
    with Outputs() as outputs:
        write_clip(output, clips, rate, outputs)
        if sheet is not None:
            write_contact_sheet(outputs.claim(sheet[0].resolve()), [sheet[1], *clips])
        if figures is not None:
            outputs.claim(figures[0].resolve()).write_text(figures[1], "utf-8")
        outputs.publish()


def write_clip(path: Path, clips: Sequence[Tensor], rate: Fraction, outputs: Outputs) -> None:
    """Write clips of one size side by side.

    Args:
        path: owned by `outputs`.
        clips: `frames 3 height width` each, in [0, 1].
        rate: frames per second.
        outputs: publishes or removes the file.
    """
    pixels = torch.cat(list(clips), dim=3)
    height, width = pixels.shape[2:]
    with VideoWriter(
        path, width=width, height=height, time_base=1 / rate, frame_rate=rate, outputs=outputs
    ) as writer:
        for index, rgb in enumerate(pixels):
            writer.write(rgb, pts=index, duration=1)
