"""Decoders made of `frame_layers`, as stages that decode regions (`lipar.regions`)."""

from collections.abc import Callable, Sequence

import attrs
from torch import Tensor, nn

from lipar.regions.stages import Memory, Stage, StagedDecoder, spatial_radius
from lipar.types import Latents
from lipar_adapters.frame_layers import (
    FrameLayer,
    MemoryBlock,
    State,
    frames_together,
    per_frame,
    run_layers,
)


class LayerStage:
    """One layer.

    Args:
        layer: a memory block, a frame layer, or a 2-D module.
        scale: output rows and columns for each of its input's.
        finish: what is done with its output, place by place; may change it.
    """

    def __init__(
        self, layer: nn.Module, *, scale: int = 1, finish: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self._layer, self._finish = layer, finish
        self.scale, self.radius = scale, spatial_radius(layer)

    def __call__(self, features: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        """The layer's output; a memory block remembers a frame, other layers nothing."""
        if isinstance(self._layer, MemoryBlock):
            output, last = self._layer(features, memory[0] if memory else None)
            return output, [last]
        output = (
            self._layer(features) if isinstance(self._layer, FrameLayer) else per_frame(self._layer, features)
        )
        return (self._finish(output) if self._finish else output), []


@attrs.define(eq=False)
class LayerTrunk:
    """The layers at the size of the latents, always computed whole.

    Args:
        prepare: makes the input of the first layer from latents.
        layers: as `run_layers` takes them.
    """

    prepare: Callable[[Latents], Tensor]
    layers: Sequence[nn.Module]
    _state: State | None = attrs.field(default=None, init=False)

    def __call__(self, latents: Latents) -> Tensor:
        """Features of the next latent frames."""
        features, self._state = run_layers(self.layers, self.prepare(latents), self._state)
        return features


def staged(
    layers: Sequence[nn.Module],
    *,
    prepare: Callable[[Latents], Tensor],
    finish: Callable[[Tensor], Tensor],
    scales: dict[type[nn.Module], int],
    drop: int = 0,
    cost: int = 1,
) -> StagedDecoder:
    """A decoder of layers in order; those before the first frame layer are the trunk.

    Args:
        layers: the last one gives the pixel frames, `b frames 3 height width`.
        prepare: see `LayerTrunk`.
        finish: makes of the last layer's output pixels in [0, 1]; may change it.
        scales: by how much layers enlarge, by class; others keep the size.
        drop: pixel frames at the start of the stream that are not given.
        cost: how much larger the features are than those that `frames_together` was measured on.
    """
    first = next(index for index, layer in enumerate(layers) if isinstance(layer, FrameLayer))
    stages: list[Stage] = []
    for layer in layers[first:]:
        last = layer is layers[-1]
        stages.append(LayerStage(layer, scale=scales.get(type(layer), 1), finish=finish if last else None))

    def together(latents: Tensor) -> int:
        b, _, _, height, width = latents.shape
        return frames_together(cost * b * height * width, latents.device)

    return StagedDecoder(
        LayerTrunk(prepare, layers[:first]), stages, time_axis=1, together=together, drop=drop
    )
