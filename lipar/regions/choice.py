"""Which decoding a run uses: whole frames, or regions where the autoencoder can and the config allows it."""

from collections.abc import Callable
from typing import Any

from lipar.config import ConfigError, DecodeConfig
from lipar.layout import TokenLayout
from lipar.model import Autoencoder
from lipar.regions.stages import StagedDecoder
from lipar.regions.stream import RegionStream
from lipar.types import Latents, PixelFrames


class PixelDecoder:
    """Latents of the blocks of an edit to pixel frames.

    Where nothing is pruned the result is that of the autoencoder's own decoder: in a dense run, and in a block whose
    tokens are all kept.

    Args:
        autoencoder: one with a method `staged_decoder`, which makes a `StagedDecoder`, or None, can decode regions.
        config: whether regions are decoded.
        dense: nothing is pruned in the whole run.

    Raises:
        ConfigError: regions are `on`, and the autoencoder cannot decode them.
    """

    def __init__(self, autoencoder: Autoencoder, config: DecodeConfig, *, dense: bool = False) -> None:
        staged = None if dense or config.regions == "off" else _staged(autoencoder)
        if staged is None and config.regions == "on" and not dense:
            raise ConfigError(
                f"decode.regions is 'on', but {type(autoencoder).__name__} cannot decode regions; set it to 'auto' "
                "or 'off'"
            )
        self._regions = None if staged is None else RegionStream(staged, trial=config.regions == "auto")
        self._whole: Callable[[Latents], PixelFrames] | None = (
            autoencoder.decoder() if staged is None else None
        )

    def __call__(self, latents: Latents, layout: TokenLayout) -> PixelFrames:
        """Pixel frames of the next block.

        Args:
            latents: of the block, restored.
            layout: its tokens.
        """
        if self._regions is None:
            assert self._whole is not None
            return self._whole(latents)
        return self._regions(latents, whole=layout.kept_count == layout.token_count)


def _staged(autoencoder: Any) -> StagedDecoder | None:
    make: Callable[[], StagedDecoder | None] | None = getattr(autoencoder, "staged_decoder", None)
    return None if make is None else make()
