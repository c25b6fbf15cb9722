"""Pictures between host and device, without the host waiting for a GPU."""

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from lipar.types import PixelFrames


def to_device(pictures: Sequence[Tensor], device: torch.device) -> PixelFrames:
    """Pictures of a video as one tensor on a device, `1 t 3 h w` in [0, 1].

    Bytes are copied as they are, from locked memory, and become floats on the device.

    Args:
        pictures: of one size, `3 h w`, uint8 0..255 or float32 0..1.
        device: where to.
    """
    if len({picture.dtype for picture in pictures}) > 1:
        pictures = [_unit(picture) for picture in pictures]
    host = torch.stack(list(pictures))
    if device.type != "cuda":
        return _unit(host.to(device))[None]
    return _unit(host.pin_memory().to(device, non_blocking=True))[None]


def _unit(picture: Tensor) -> Tensor:
    if picture.dtype != torch.uint8:
        return picture
    # by a tensor: divided by a number, a GPU would multiply by its reciprocal
    return picture.to(torch.float32) / torch.full((), 255.0, device=picture.device)


@attrs.frozen(eq=False)
class HostCopy:
    """The copy of a tensor on the host, which on a GPU has only begun."""

    _tensor: Tensor
    _done: "torch.cuda.Event | None"

    @classmethod
    def begin(cls, tensor: Tensor) -> "HostCopy":
        """Queue the copy behind the work that a GPU has; elsewhere it is complete, on a CPU the tensor itself.

        Args:
            tensor: on any device.
        """
        if tensor.device.type != "cuda":
            return cls(tensor.cpu(), None)
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        host.copy_(tensor, non_blocking=True)
        done = torch.cuda.Event(blocking=True)
        done.record(torch.cuda.current_stream(tensor.device))
        return cls(host, done)

    @property
    def count(self) -> int:
        """Length of the first axis."""
        return self._tensor.shape[0]

    def wait(self) -> Tensor:
        """The tensor on the host, complete."""
        if self._done is not None:
            self._done.synchronize()
        return self._tensor
