"""Which decoding an edit uses."""

import pytest
import torch
from region_toys import toy_decoder, toy_latents

from lipar.config import ConfigError, DecodeConfig
from lipar.layout import TokenLayout
from lipar.regions.choice import PixelDecoder

STILL = toy_latents(1).expand(1, 6, -1, -1, -1)


class Stubborn:
    """An autoencoder that cannot decode regions."""

    spatial_factor, latent_channels = 4, 4
    first_pixel_frames = next_pixel_frames = 4
    tau_short, tau_long = 0.1, 0.2

    def encoder(self):
        raise NotImplementedError

    def decoder(self):
        return toy_decoder().whole


class Able(Stubborn):
    """One that can."""

    def staged_decoder(self):
        return toy_decoder()


class Unable(Stubborn):
    """One whose form has none."""

    def staged_decoder(self):
        return None


def layout(keep_all):
    keep = torch.ones(6, 12, 16, dtype=torch.bool)
    keep[1:, 0, 0] = keep_all
    return TokenLayout(keep, has_history=False)


@pytest.mark.parametrize(
    ("autoencoder", "regions", "dense", "keep_all"),
    [
        (Able(), "off", False, False),
        (Able(), "on", True, False),
        (Able(), "on", False, True),
        (Able(), "auto", False, True),
        (Stubborn(), "auto", False, False),
        (Unable(), "auto", False, False),
        (Stubborn(), "on", True, False),
    ],
)
def test_it_is_the_decoder_itself_bit_for_bit(autoencoder, regions, dense, keep_all):
    decode = PixelDecoder(autoencoder, DecodeConfig(regions=regions), dense=dense)
    assert torch.equal(decode(STILL, layout(keep_all)), toy_decoder().whole(STILL))


@pytest.mark.parametrize("regions", ["on", "auto"])
def test_still_places_repeat_where_something_is_pruned(regions):
    decode = PixelDecoder(Able(), DecodeConfig(regions=regions))
    pictures = decode(STILL, layout(False)).split(4, 1)
    assert torch.equal(pictures[2], pictures[1])


@pytest.mark.parametrize("autoencoder", [Stubborn(), Unable()])
def test_regions_of_an_autoencoder_that_cannot_are_refused(autoencoder):
    with pytest.raises(ConfigError, match=r"decode\.regions is 'on', but \w+ cannot decode regions"):
        PixelDecoder(autoencoder, DecodeConfig(regions="on"))
