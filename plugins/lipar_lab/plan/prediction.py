"""Seconds and memory of an edit, from its planned blocks and a calibration."""

from collections.abc import Callable, Sequence
from statistics import median

import attrs
import numpy as np

from lipar_lab.plan.block_plan import BlockPlan
from lipar_lab.plan.calibration import Calibration, Sample
from lipar_lab.plan.fit import Fit, fit_points, points_of

STAGES: dict[str, Callable[[Sample], float]] = {
    "denoise step": lambda sample: sample.denoise,
    "clean pass": lambda sample: sample.clean,
    "rest": lambda sample: sample.rest,
}
"""Stages of a block whose time depends on kept tokens and context."""


@attrs.frozen(kw_only=True)
class BlockSeconds:
    """Predicted seconds of one block, or the sum of several."""

    encode: float
    mask: float
    denoise: float
    """All denoise steps, with what is around the passes: context, removal of old frames, restoring."""
    clean: float
    decode: float

    @property
    def transformer(self) -> float:
        """Denoising and clean pass: what pruning makes faster."""
        return self.denoise + self.clean

    @property
    def total(self) -> float:
        """All stages."""
        return self.encode + self.mask + self.transformer + self.decode

    @classmethod
    def sum_of(cls, blocks: Sequence["BlockSeconds"]) -> "BlockSeconds":
        """The sum of each stage."""
        names = [field.name for field in attrs.fields(cls)]
        return cls(**{name: sum(getattr(block, name) for block in blocks) for name in names})


@attrs.frozen(kw_only=True)
class Prediction:
    """Seconds of all blocks, and memory."""

    blocks: tuple[BlockSeconds, ...]
    dense: tuple[BlockSeconds, ...]
    """The same blocks with every token computed, without masks."""
    pixel_frames: int
    warm_up: float
    """Seconds that the first block of a process takes longer; in neither of the above."""
    peak_bytes: int
    dense_peak_bytes: int

    @property
    def seconds(self) -> float:
        """From the first block's encoding to the last one's decoding."""
        return self.warm_up + BlockSeconds.sum_of(self.blocks).total

    @property
    def dense_seconds(self) -> float:
        """The same with every token computed."""
        return self.warm_up + BlockSeconds.sum_of(self.dense).total

    @property
    def frames_per_second(self) -> float:
        """Pixel frames per second of `seconds`."""
        return self.pixel_frames / self.seconds

    @property
    def dense_frames_per_second(self) -> float:
        """The same with every token computed."""
        return self.pixel_frames / self.dense_seconds

    @property
    def speedup(self) -> float:
        """Of denoising and clean pass, over all blocks."""
        pruned, dense = BlockSeconds.sum_of(self.blocks), BlockSeconds.sum_of(self.dense)
        return dense.transformer / pruned.transformer if pruned.transformer else float("inf")

    @property
    def whole_speedup(self) -> float:
        """Of all stages."""
        return self.dense_seconds / self.seconds


class Predictor:
    """Predicts from one calibration.

    Args:
        calibration: of the run's key.
        steps: denoise steps of a block, at least 1.
    """

    def __init__(self, calibration: Calibration, steps: int) -> None:
        self.calibration, self.steps = calibration, steps
        self.fits: dict[str, Fit] = {
            name: fit_points(points_of(calibration.samples, stage)) for name, stage in STAGES.items()
        }
        self._decode = _decode_curve(calibration)

    def predict(self, blocks: Sequence[BlockPlan]) -> Prediction:
        """Seconds and memory of a clip.

        Args:
            blocks: of the clip, at least one.
        """
        if not blocks:
            raise ValueError("a clip has at least one block")
        # the time of one mask is too short to be measured well
        mask = median(block.mask for block in blocks)
        dense = [self._everything(block) for block in blocks]
        return Prediction(
            blocks=tuple(self.block(block, mask) for block in blocks),
            dense=tuple(self.block(block, 0.0) for block in dense),
            pixel_frames=blocks[-1].pixel_frames[1],
            warm_up=self.calibration.warm_up,
            peak_bytes=self._peak(blocks),
            dense_peak_bytes=self._peak(dense),
        )

    def block(self, block: BlockPlan, mask: float) -> BlockSeconds:
        """Seconds of one block.

        Args:
            block: its numbers.
            mask: seconds of its mask.
        """
        first, calibration = block.index == 0, self.calibration
        if block.kept:
            step, clean, rest = (self.fits[name].seconds(block.kept, block.context_rows) for name in STAGES)
        else:
            step, clean, rest = 0.0, 0.0, calibration.nothing_kept
        return BlockSeconds(
            encode=calibration.encode_first if first else calibration.encode,
            mask=mask,
            denoise=self.steps * step + rest,
            clean=clean,
            decode=calibration.decode_first if first else self._decode(block.kept),
        )

    def _everything(self, block: BlockPlan) -> BlockPlan:
        per_frame = self.calibration.tokens // self.calibration.block_frames
        return attrs.evolve(block, kept=block.tokens, context_rows=block.context_frames * per_frame)

    def _peak(self, blocks: Sequence[BlockPlan]) -> int:
        """The peak of the block with most kept tokens after a first one, with the longest context."""
        points = sorted(self.calibration.memory, key=lambda point: point.kept)
        most = max((block.kept for block in blocks if block.has_history), default=points[0].kept)
        at = float(np.interp(most, [point.kept for point in points], [point.peak_bytes for point in points]))
        more_rows = max(max(block.context_rows for block in blocks) - self.calibration.memory_rows, 0)
        return round(at + more_rows * self.calibration.cache_row_bytes)


def _decode_curve(calibration: Calibration) -> Callable[[int], float]:
    """Seconds of decoding a block by its kept tokens; whole frames take as long whatever is kept."""
    after_first = [sample for sample in calibration.samples if sample.rows > calibration.tokens]
    timed = [sample for sample in after_first if sample.decode > 0]
    if not timed:
        return lambda kept: calibration.decode_first
    if calibration.key.decode == "off":
        seconds = median(sample.decode for sample in timed)
        return lambda kept: seconds
    points = sorted(points_of(timed, lambda sample: sample.decode), key=lambda point: point.kept)
    at, taken = [point.kept for point in points], [point.seconds for point in points]
    return lambda kept: float(np.interp(kept, at, taken))
