"""Criteria that compare something else than latents: the source's pixel frames, or a mask file.

Both find where the picture is *covered* by something that moves. A token has changed where it is covered now, and where
its reference was: what moves away uncovers a place that the reference does not show.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar import bounds
from lipar.bounds import Within
from lipar.masks.measure import Reader
from lipar.masks.source import SourceBlock, SourceFormat
from lipar.messages import counted
from lipar.protocols import Criterion
from lipar.types import ChangeMap, Features


class Background:
    """A running Gaussian for every pixel and colour (Wren et al., Pfinder, 1997).

    Args:
        frame: the first one, all of it background.
        rate: how fast mean and variance follow, per pixel frame.
        noise: least standard deviation.
    """

    def __init__(self, frame: Float[Tensor, "3 height width"], rate: float, noise: float) -> None:
        self._rate, self._least = rate, noise**2
        self.mean = frame.clone()
        self._variance = torch.full_like(frame, self._least)

    def foreground(
        self, frame: Float[Tensor, "3 height width"], deviations: float
    ) -> Float[Tensor, "height width"]:
        """1 where a colour is beyond so many standard deviations; the background follows the frame."""
        difference = frame - self.mean
        squared = difference.square()
        beyond = (squared > deviations**2 * self._variance).any(dim=0)
        self.mean += self._rate * difference
        # the colour of what covers a pixel does not count for the variance of the background
        followed = (self._variance + self._rate * (squared - self._variance)).clamp(min=self._least)
        self._variance = torch.where(beyond, self._variance, followed)
        return beyond.float()


@attrs.frozen(kw_only=True)
class PixelCriterion(Criterion):
    """Fraction of a token's pixels that stand out from a running background, here or in the reference.

    The pixel frame with most foreground counts for its latent frame. What stops moving becomes background after about
    1/rate pixel frames. If the background drifts, for instance with daylight, its distance from the shown colour
    counts.
    """

    rate: float = attrs.field(
        default=0.05,
        validator=Within(1e-6, 1, "a share of the way to the new frame; a background must follow"),
    )
    """How fast the background follows, per pixel frame."""
    noise: float = attrs.field(
        default=0.02,
        validator=Within(1e-6, 1, "of colours 0..1; 0 would count every change"),
    )
    """Least standard deviation of a pixel, of colours 0..1."""
    deviations: float = attrs.field(default=3.0, validator=bounds.FACTOR)
    """A pixel stands out beyond so many standard deviations."""
    drift: float = attrs.field(default=0.4, validator=bounds.FACTOR)
    """Change of the background's mean colour that counts as if the whole token stood out."""

    needs = frozenset({"pixels"})
    taus = (0.1, 0.1)

    def reader(self, source: SourceFormat) -> Reader:
        """Reads the covered share of each token and the mean colour of its background, four features."""
        background: Background | None = None

        def read(block: SourceBlock) -> Features:
            nonlocal background
            if block.pixels is None:
                raise ValueError("criterion 'pixel' reads pixel frames, but the source has latents alone")
            frames, rows, cols = source.grid(block.latents)
            spans = source.frame_spans(block.first_frame, frames)
            pixels, first = block.pixels[0].float(), spans[0][0]
            features = []
            for index, (start, stop) in enumerate(spans):
                if background is None or block.cut == index:
                    background = Background(pixels[start - first], self.rate, self.noise)
                covered = torch.stack(
                    [
                        background.foreground(frame, self.deviations)
                        for frame in pixels[start - first : stop - first]
                    ]
                )
                share = F.adaptive_avg_pool2d(covered[:, None], (rows, cols)).amax(dim=0)
                colour = F.adaptive_avg_pool2d(background.mean[None], (rows, cols))[0]
                features.append(torch.cat([share, colour]).permute(1, 2, 0))
            return torch.stack(features)

        return read

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """The larger of the covered shares, or how far the background drifted."""
        current, reference = current.float(), reference.float()
        covered = current[..., 0].maximum(reference[..., 0])
        drifted = (current[..., 1:] - reference[..., 1:]).abs().mean(dim=-1) / self.drift
        return covered.maximum(drifted)


@attrs.frozen(kw_only=True)
class MaskCriterion(Criterion):
    """1 where a given mask covers a token, here or in the reference, else 0.

    A token is covered if any of its pixels is, in any of its pixel frames. Refiners still change the mask; to use it
    unchanged, set `refiners` to `["threshold"]`.
    """

    path: Path
    """A video or picture (by its brightness), or a `.npy` array of `frames height width`: one frame per frame of the
    source, or a single one for all of it. Of any size; it is scaled to the whole picture. Values are 0..1; whole
    numbers may also be 0..255."""
    threshold: float = attrs.field(default=0.5, validator=Within(0, 1, "values of a mask are 0..1"))
    """A pixel is covered beyond this value, 0..1."""
    invert: bool = False
    """True: places that are not covered count as changed."""

    taus = (0.5, 0.5)

    def reader(self, source: SourceFormat) -> Reader:
        """Reads 1 where the mask covers a token, else 0.

        Raises:
            ValueError: the file is missing or no mask.
        """
        masks = MaskFrames(self.path)

        def read(block: SourceBlock) -> Features:
            frames, rows, cols = source.grid(block.latents)
            spans = source.frame_spans(block.first_frame, frames)
            features = []
            for start, stop in spans:
                covered = [self._covered(masks.at(index, spans[0][0])) for index in range(start, stop)]
                pooled = F.adaptive_max_pool2d(torch.stack(covered).amax(dim=0)[None], (rows, cols))
                features.append(pooled[0, ..., None])
            return torch.stack(features).to(block.latents.device)

        return read

    def _covered(self, values: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
        return ((values > self.threshold) != self.invert).float()

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """1 where either is covered."""
        return current.float().maximum(reference.float())[..., 0]


class MaskFrames:
    """The frames of a mask file, 0..1, read one after the other.

    Raises:
        ValueError: the file is no mask.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ValueError(f"there is no mask at {path}")
        self._path = path
        if path.suffix != ".npy":
            _check_video(path)  # now, since frames are read later, one by one
        self._frames = _array_frames(path) if path.suffix == ".npy" else _video_frames(path)
        self._last: Tensor | None = None
        self._count = 0
        self._ended = False

    def at(self, index: int, block_start: int) -> Float[Tensor, "height width"]:
        """The mask of a pixel frame; indices must not decrease from call to call.

        The last block of the source is filled up with copies of its last frame, and so is the mask.

        Args:
            index: of the pixel frame.
            block_start: index of the first pixel frame of its block.

        Raises:
            ValueError: the mask ended before the block.
        """
        while self._count <= index and not self._ended:
            frame = next(self._frames, None)
            if frame is None:
                self._ended = True
                break
            self._last, self._count = frame, self._count + 1
        if self._ended and self._count != 1 and block_start >= self._count:
            raise ValueError(
                f"mask {self._path} has {counted(self._count, 'frame')}, but the source goes on at frame "
                f"{block_start}; give one mask frame per frame, or a single one for all"
            )
        if self._last is None:
            raise ValueError(f"mask {self._path} has no frame")
        return self._last


def _array_frames(path: Path) -> Iterator[Float[Tensor, "height width"]]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"mask {path} is no .npy array that can be read; write it with numpy.save"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"mask {path} is an archive of arrays; write one array with numpy.save")
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size or array.dtype.kind not in "buif":
        raise ValueError(
            f"mask {path} must be an array of frames, height and width, of bool, 0..255 or 0..1; "
            f"got {array.dtype}{list(array.shape)}"
        )
    lowest, highest = array.min(), array.max()
    # masks of whole numbers are either 0 and 1 or 0 and 255
    largest = 255 if array.dtype.kind in "ui" and highest > 1 else 1
    if not (lowest >= 0 and highest <= largest):  # false for NaN, too
        raise ValueError(
            f"mask {path} has values {lowest}..{highest}; they must be 0..1, or whole numbers of 0..255"
        )
    return (torch.from_numpy(np.array(frame, dtype=np.float32)) / float(largest) for frame in array)


def _check_video(path: Path) -> None:
    from lipar.video import VideoWarning, probe

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VideoWarning)
        try:
            probe(path)
        except ValueError as error:
            raise ValueError(f"mask {path}: {error}") from error


def _video_frames(path: Path) -> Iterator[Float[Tensor, "height width"]]:
    from lipar.video import VideoReader, VideoWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VideoWarning)  # a still picture is a valid mask
        reader = VideoReader(path)
    with reader:
        for frame in reader:
            yield frame.unit().mean(dim=0)
