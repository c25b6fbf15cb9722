"""A decoder as a trunk and stages, run on whole frames or on rectangles of them.

A stage gives the same result on a piece of a frame as on all of it, except near the cut, where it lacks what is beyond.
So a rectangle is computed with a margin, the stage's *radius*, which is then cut off. What lies in the margin, and what
the stage remembers of earlier frames, is taken from maps of the whole frame: the stage's input and memory, kept from
latent frame to latent frame, and renewed where something is computed.

A latent frame makes several pixel frames. A place that is not computed repeats those of the latent frame before, each
at its own index, since they differ even where nothing moves.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from lipar.regions.places import Rect
from lipar.types import Latents

Memory: TypeAlias = list[Any]
"""What a stage remembers: tensors with the rows and columns of its input; other values only as a stream begins."""


def spatial_radius(module: nn.Module) -> int:
    """Rows and columns around a place that a module's output depends on, for convolutions one after the other.

    It is an upper bound where they are parallel, or on a grid that is finer than the input's.
    """
    return sum(
        max(size // 2 * step for size, step in zip(part.kernel_size[-2:], part.dilation[-2:]))
        for part in module.modules()
        if isinstance(part, nn.Conv2d | nn.Conv3d)
    )


@runtime_checkable
class Stage(Protocol):
    """A part of a decoder. Rows and columns are the last two axes of features; the others are the decoder's own."""

    radius: int
    """Rows and columns of the input around a place that the output at this place depends on."""
    scale: int
    """Output rows and columns for each of the input's."""

    def __call__(self, features: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        """New features, and what the stage must remember of this call; the arguments are not changed.

        Args:
            features: of a whole frame or of a piece of it. A piece ends with the frame, or is cut off.
            memory: what the call for the frames before returned, of the same piece; None: the stream begins.
        """
        ...


class StagedDecoder:
    """Decodes a stream of latent frames, each whole or at some places.

    Args:
        trunk: features of latent frames, with the rows and columns of the latents; always computed whole.
        stages: in order; the last one gives pixel frames.
        time_axis: axis of the frames in features and pixel frames.
        together: how many whole frames are computed in one call, from their latents.
        drop: pixel frames at the start of the stream that are made and not given.
    """

    def __init__(
        self,
        trunk: Callable[[Latents], Tensor],
        stages: Sequence[Stage],
        *,
        time_axis: int,
        together: Callable[[Latents], int] = lambda latents: 1,
        drop: int = 0,
    ) -> None:
        self._trunk, self._together = trunk, together
        self.time_axis, self._drop = time_axis, drop
        self._maps = [_Map(stage, self._last) for stage in stages]
        self._pixels: Tensor | None = None

    def whole(self, latents: Latents) -> Tensor:
        """Pixel frames of some latent frames, with every place computed."""
        pieces = []
        for some in latents.split(self._together(latents), 1):
            features = self._trunk(some)
            for map_ in self._maps:
                features = map_.whole(features, some.shape[1])
            self._pixels = self._last(features, some.shape[1])
            pieces.append(features)
        pixels = torch.cat(pieces, self.time_axis) if len(pieces) > 1 else pieces[0]
        drop, self._drop = self._drop, 0
        return pixels.narrow(self.time_axis, drop, pixels.shape[self.time_axis] - drop)

    def at(self, latents: Latents, rects: Sequence[Rect]) -> Tensor:
        """Pixel frames of one latent frame, computed at some places only; elsewhere they repeat those before.

        Args:
            latents: the frame. Before it, at least one has been decoded whole that made as many pixel frames.
            rects: places of the latents, without overlap. None at all: only the trunk takes note of the frame.
        """
        if self._pixels is None:
            raise ValueError(
                "no frame was decoded whole yet, so there is nothing to repeat; call `whole` first"
            )
        pieces: Tensor | Sequence[Tensor] = self._trunk(latents)
        scale = 1
        for map_ in self._maps:
            pieces = map_.renew([rect.scaled(scale) for rect in rects], pieces)
            scale *= map_.stage.scale
        self._pixels = self._pixels.clone()  # the caller has those before
        for rect, piece in zip(rects, pieces):
            rect.scaled(scale).of(self._pixels).copy_(piece)
        return self._pixels

    def _last(self, features: Tensor, frames: int) -> Tensor:
        """The features of the last of some latent frames, in memory of their own if there are several."""
        count = features.shape[self.time_axis] // frames
        return features if frames == 1 else features.narrow(self.time_axis, -count, count).clone()


class _Map:
    """The input and the memory of a stage at the whole frame."""

    def __init__(self, stage: Stage, last: Callable[[Tensor, int], Tensor]) -> None:
        self.stage = stage
        self._last = last
        self._features: Tensor | None = None
        self._memory: Memory | None = None

    def whole(self, features: Tensor, frames: int) -> Tensor:
        """The stage's output for some latent frames."""
        output, self._memory = self.stage(features, self._memory)
        self._features = self._last(features, frames)
        return output

    def renew(self, rects: Sequence[Rect], inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """The stage's outputs at some places of the input.

        Args:
            rects: the places.
            inputs: the input at each place, or of the whole frame.
        """
        assert self._features is not None and self._memory is not None
        frame = Rect(0, self._features.shape[-2], 0, self._features.shape[-1])
        cuts = [rect.grown(self.stage.radius).clipped(frame) for rect in rects]
        # copied before anything is written: one place lies in another's margin, and memory may be a view of the input
        memories = [[cut.of(kept).clone() for kept in self._memory] for cut in cuts]
        if isinstance(inputs, Tensor):
            self._features = inputs
        else:
            for rect, piece in zip(rects, inputs):
                rect.of(self._features).copy_(piece)
        return [self._compute(rect, cut, memory) for rect, cut, memory in zip(rects, cuts, memories)]

    def _compute(self, rect: Rect, cut: Rect, memory: Memory) -> Tensor:
        assert self._features is not None and self._memory is not None
        output, remembered = self.stage(cut.of(self._features), memory)
        inner = rect.within(cut)
        for kept, new in zip(self._memory, remembered):
            rect.of(kept).copy_(inner.of(new))
        return inner.scaled(self.stage.scale).of(output)
