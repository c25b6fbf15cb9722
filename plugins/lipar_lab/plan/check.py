"""Predicted versus measured: the model's part of an edit is run and timed on the clip that was planned."""

from contextlib import ExitStack
from pathlib import Path
from statistics import median

import attrs
import torch

from lipar.cli.host import plugin_host
from lipar.config import Config
from lipar.editing.source import SourceFrames
from lipar.events import EditOptions
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar_lab.machine import peak_memory, reset_peak_memory
from lipar_lab.plan.clip import ClipPlan
from lipar_lab.plan.measure import growing_blocks, measured_config, scene
from lipar_lab.plan.memory import Loading
from lipar_lab.plan.model_part import DoneBlock, run_model_part
from lipar_lab.plan.prediction import Prediction, Predictor


@attrs.frozen(kw_only=True)
class MeasuredBlock:
    """One block that was run."""

    kept: int
    encode: float
    mask: float
    denoise: float
    """All denoise steps, with what is around the passes."""
    clean: float
    decode: float

    @classmethod
    def of(cls, block: DoneBlock) -> "MeasuredBlock":
        """The times of a block, by the stages of a prediction."""
        return cls(
            kept=block.layout.kept_count,
            encode=sum(block.encode),
            mask=block.mask,
            denoise=block.steps * block.denoise + block.rest,
            clean=block.clean,
            decode=block.decode,
        )

    @property
    def total(self) -> float:
        """All stages, in seconds."""
        return self.encode + self.mask + self.denoise + self.clean + self.decode


@attrs.frozen(kw_only=True)
class Measured:
    """The model's part of an edit."""

    blocks: tuple[MeasuredBlock, ...]
    peak_bytes: int
    reference: tuple[float, ...]
    """Seconds of blocks with all tokens kept, encoding and decoding included, right after the clip."""

    @property
    def seconds(self) -> float:
        """All stages of all blocks."""
        return sum(block.total for block in self.blocks)


@attrs.frozen(kw_only=True)
class Check:
    """A clip's prediction and measurement."""

    plan: ClipPlan
    prediction: Prediction
    measured: Measured
    reference: float
    """Seconds of the reference block at the time of the calibration."""

    @property
    def same_tokens(self) -> bool:
        """Whether every block kept as many tokens as planned."""
        return [block.kept for block in self.plan.blocks] == [block.kept for block in self.measured.blocks]

    @property
    def error(self) -> float:
        """Predicted over measured seconds, minus 1."""
        return self.prediction.seconds / self.measured.seconds - 1

    @property
    def transformer_error(self) -> float:
        """The same of denoising and clean pass alone."""
        predicted = sum(block.transformer for block in self.prediction.blocks)
        measured = sum(block.denoise + block.clean for block in self.measured.blocks)
        return predicted / measured - 1 if measured else 0.0

    @property
    def memory_error(self) -> float:
        """Predicted over measured peak, minus 1."""
        return self.prediction.peak_bytes / self.measured.peak_bytes - 1

    @property
    def slower_now(self) -> float:
        """How many times longer the reference block took around this measurement than for the calibration."""
        return median(self.measured.reference) / self.reference

    @property
    def error_at_this_speed(self) -> float:
        """`error` if the machine were as fast as around the measurement."""
        return (1 + self.error) * self.slower_now - 1


def load_and_measure(loading: Loading, path: Path, size: tuple[int, int]) -> Measured:
    """`measure_edit` on a model that is loaded for it."""
    host = plugin_host()
    return measure_edit(loading.load(host), loading.config, path, size, host=host)


def measure_edit(
    model: Model, config: Config, path: Path, size: tuple[int, int], *, host: PluginHost
) -> Measured:
    """Run the model's part of an edit, and right after it the reference blocks.

    Not before it: the warm-up of the process would be theirs.

    Args:
        model: with an autoencoder and a prompt.
        config: names and numbers of the run.
        path: the clip.
        size: width and height to process at, in pixels.
        host: the plugins.
    """
    options = EditOptions(prompt="", output=path, source=path, resolution=size)
    with ExitStack() as stack, torch.no_grad():
        reset_peak_memory(model.device)
        frames = SourceFrames(options, model, stack).frames
        blocks = tuple(map(MeasuredBlock.of, run_model_part(model, config, frames, host=host)))
        peak = peak_memory(model.device)
        after = reference_blocks(model, config, size, host)
    return Measured(blocks=blocks, peak_bytes=peak, reference=after)


def reference_blocks(
    model: Model, config: Config, size: tuple[int, int], host: PluginHost
) -> tuple[float, ...]:
    """Seconds of two blocks that keep every token with the whole context.

    Args:
        model: with an autoencoder and a prompt.
        config: names and numbers of the run.
        size: width and height to process at, in pixels.
        host: the plugins.
    """
    growing = growing_blocks(model, config)
    blocks = scene(
        model, measured_config(config), [1.0] * (growing + 2), size, host, decodes=lambda index: True
    )
    return tuple(block.seconds for block in blocks[-2:])


def reference_of(predictor: Predictor, plan: ClipPlan) -> float:
    """Predicted seconds of the reference block.

    Args:
        predictor: from the calibration.
        plan: any clip of that size.
    """
    calibration = predictor.calibration
    steady = [sample for sample in calibration.samples if sample.steady]
    rows = max(sample.rows for sample in steady or calibration.samples)
    block = attrs.evolve(plan.blocks[0], index=1, kept=calibration.tokens, context_rows=rows)
    return predictor.block(block, calibration.mask).total
