"""The decoder of diffusers' `AutoencoderKLWan` as stages that decode regions (`lipar.regions`).

The stages are the library's own modules, called as its decoder calls them, so that whole frames are decoded as by the
library. Up to the last residual block at the size of the latents everything is the trunk: some 5 % of the operations,
and with the middle block's attention, which sees the whole frame.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from lipar.regions.stages import Memory, Stage, StagedDecoder, spatial_radius
from lipar.types import Latents

Cached: TypeAlias = Callable[..., Tensor]
"""Called with features `b c t h w` and `feat_cache`, a list that it changes, and `feat_idx`, where in it to begin."""
KEPT_FRAMES = 2
"""Frames that a convolution over three frames remembers."""


class CausalConvolution:
    """A `WanCausalConv3d` with the cache that residual blocks have inside.

    Args:
        convolution: over three frames.
        before: what is applied to its input, place by place.
    """

    def __init__(self, convolution: nn.Module, before: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        self._convolution, self._before = convolution, before

    def __call__(self, features: Tensor, feat_cache: list[Any], feat_idx: list[int]) -> Tensor:
        """Features after the convolution; remembers the last frames before it."""
        features, index = self._before(features), feat_idx[0]
        kept, earlier = features[:, :, -KEPT_FRAMES:].clone(), feat_cache[index]
        if kept.shape[2] < KEPT_FRAMES and earlier is not None:
            kept = torch.cat([earlier[:, :, -1:], kept], 2)
        output: Tensor = self._convolution(features, earlier)
        feat_cache[index] = kept
        feat_idx[0] += 1
        return output


class WanStage:
    """Modules of the decoder, one after the other.

    Args:
        modules: see `Cached`; radius and number of memories are those of the convolutions inside.
        inside: modules with these convolutions, where `modules` are not modules of PyTorch.
        scale: output rows and columns for each of the input's.
        finish: what is done with the output, place by place.
    """

    def __init__(
        self,
        *modules: Cached,
        inside: nn.Module | None = None,
        scale: int = 1,
        finish: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> None:
        from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

        within = [inside] if inside is not None else [one for one in modules if isinstance(one, nn.Module)]
        self._modules, self._finish = modules, finish
        # a convolution over one frame, the shortcut of a residual block, remembers nothing
        self._memories = sum(
            isinstance(part, WanCausalConv3d) and part.kernel_size[0] > 1
            for module in within
            for part in module.modules()
        )
        self.scale, self.radius = scale, sum(map(spatial_radius, within))

    def __call__(self, features: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        """Features after all modules, and the last two frames before each convolution over three."""
        cache = [None] * self._memories if memory is None else [*memory]
        index = [0]
        for module in self._modules:
            features = module(features, feat_cache=cache, feat_idx=index)
        return self._finish(features), cache


class WanTrunk:
    """What is always computed whole.

    Args:
        vae: an `AutoencoderKLWan`.
        prepare: makes raw latents `b c t h w` of latents as they come.
    """

    def __init__(self, vae: Any, prepare: Callable[[Latents], Tensor]) -> None:
        decoder = vae.decoder
        self._prepare, self._first = prepare, vae.post_quant_conv
        self._stages = [
            WanStage(CausalConvolution(decoder.conv_in), inside=decoder.conv_in),
            WanStage(decoder.mid_block),
            *(WanStage(block) for block in decoder.up_blocks[0].resnets),
        ]
        self._memories: list[Memory | None] = [None] * len(self._stages)

    def __call__(self, latents: Latents) -> Tensor:
        """Features of the next latent frame."""
        features = self._first(self._prepare(latents))
        for index, stage in enumerate(self._stages):
            features, self._memories[index] = stage(features, self._memories[index])
        return features


def can_be_staged(vae: Any) -> bool:
    """Whether `staged` knows the decoder of an `AutoencoderKLWan`: that of Wan 2.1; Wan 2.2 TI2V 5B has another."""
    return not vae.config.is_residual and (vae.config.patch_size or 1) == 1


def staged(
    vae: Any, *, prepare: Callable[[Latents], Tensor], finish: Callable[[Tensor], Tensor]
) -> StagedDecoder:
    """A new stream of the decoder of Wan 2.1, a latent frame at a time.

    Args:
        vae: an `AutoencoderKLWan` that `can_be_staged`.
        prepare: makes raw latents `b c t h w` of latents `b t c h w` as they come.
        finish: makes pixels as they are wanted of the decoder's output, place by place.
    """
    decoder = vae.decoder
    stages: list[Stage] = []
    for index, block in enumerate(decoder.up_blocks):
        if index > 0:
            stages += [WanStage(resnet) for resnet in block.resnets]
        stages += [WanStage(upsampler, scale=2) for upsampler in block.upsamplers or ()]
    head = CausalConvolution(
        decoder.conv_out, before=lambda features: decoder.nonlinearity(decoder.norm_out(features))
    )
    stages.append(WanStage(head, inside=decoder.conv_out, finish=finish))
    return StagedDecoder(WanTrunk(vae, prepare), stages, time_axis=2)


def staged_clip(vae: Any) -> tuple[StagedDecoder, Callable[[Tensor], Tensor]] | None:
    """A new stream for the latents of a whole clip, as `vae.decode` takes them, but `b t c h w`.

    Returns:
        The stream, and what makes of its pixel frames `b frames 3 height width` what `decode` returns; None for an
        autoencoder that cannot decode regions, or is told to decode in tiles or one video after the other.
    """
    own: Callable[[], StagedDecoder | None] | None = getattr(vae, "staged_decoder", None)
    if own is not None:  # one of lipar's, whose stream gives pixels in [0, 1]
        made = own()
        return None if made is None else (made, lambda pixels: 2 * pixels.transpose(1, 2) - 1)
    from diffusers import AutoencoderKLWan

    if not isinstance(vae, AutoencoderKLWan) or not can_be_staged(vae) or vae.use_tiling or vae.use_slicing:
        return None
    decoder = staged(
        vae, prepare=lambda latents: latents.transpose(1, 2), finish=lambda pixels: pixels.clamp(-1, 1)
    )
    return decoder, lambda pixels: pixels.transpose(1, 2)
