"""The convolutions of `AutoencoderKLWan` on a CPU, as 2-D convolutions of single frames, channels-last.

PyTorch computes a 3-D convolution on a CPU without the kernels that make a 2-D one fast. On an accelerator, and in
16-bit types, where a sum of three rounded convolutions would be less exact, diffusers' own code runs.
"""

from typing import cast

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanResample
from torch import Tensor, nn

from lipar_adapters.frame_layers import enlarge


def compute_by_frames(vae: AutoencoderKLWan) -> None:
    """Let the convolutions of an autoencoder be computed frame by frame where that is faster.

    Results differ by rounding. Measured with random weights, one thread of an AMD EPYC, float32: decoding takes .12
    to .63 of the time, encoding .12 to .61 (base_dim 16 to 96, 160x96 to 336x192 pixels).

    Args:
        vae: changed; weights keep their names, values and types, in another order in memory.
    """
    for module in vae.modules():
        if type(module) is WanCausalConv3d:
            # as torch.nn.utils.parametrize does; a module in its place would rename the weights
            module.__class__ = _FrameConvolution
            module.weight.data = _by_time(module.weight.data)
        elif type(module) is WanResample and module.mode in ("upsample2d", "upsample3d"):
            module.resample.__class__ = _Enlargement


def _by_time(weight: Tensor) -> Tensor:
    """The same values; those of each time are a channels-last 2-D weight."""
    return weight.permute(2, 0, 3, 4, 1).contiguous().permute(1, 4, 0, 2, 3)


def _pays(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _last(frame: Tensor) -> Tensor:
    return frame.contiguous(memory_format=torch.channels_last)


class _FrameConvolution(WanCausalConv3d):
    """For each frame the sum of a 2-D convolution of every frame that it sees."""

    def forward(self, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
        """As `WanCausalConv3d.forward`; frames before the stream are left out instead of computed as zeros."""
        span, stride = self.kernel_size[0], self.stride[0]
        earlier = list(cache_x.unbind(2)) if cache_x is not None and self._padding[4] else []
        frames: list[Tensor | None] = [None] * (self._padding[4] - len(earlier))
        frames += [_last(frame) for frame in (*earlier, *x.unbind(2))]
        count = (len(frames) - span) // stride + 1
        if not _pays(x) or count < 1:
            return super().forward(x, cache_x)
        made = [self._frame(frames[start : start + span]) for start in range(0, count * stride, stride)]
        if count == 1:
            return made[0].unsqueeze(2)
        # channels-last with five axes too, as the layers around keep it
        joined = x.new_empty(len(x), count, *made[0].shape[2:], self.out_channels).movedim(-1, 1)
        for index, frame in enumerate(made):
            joined[:, :, index] = frame
        return joined

    def _frame(self, frames: list[Tensor | None]) -> Tensor:
        padding = (self._padding[2], self._padding[0])
        total, bias = None, self.bias
        # the latest first: it is always there, and the bias belongs to it
        for time in reversed(range(len(frames))):
            frame = frames[time]
            if frame is None:
                continue
            part = F.conv2d(frame, self.weight[:, :, time], bias, self.stride[1:], padding)
            total, bias = part if total is None else total.add_(part), None
        assert total is not None
        return total


class _Enlargement(nn.Sequential):
    """An enlargement by two and a convolution, in one operation."""

    def forward(self, input: Tensor) -> Tensor:
        """Images of twice the size."""
        if not _pays(input):
            return super().forward(input)  # type: ignore[no-untyped-call]
        return enlarge(_last(input), cast("nn.Conv2d", self[1]))
