"""TAEF2 from its two files: made-up weights in their format, and the real ones where they are at hand."""

import pytest
import torch

from lipar.metrics.fidelity import psnr
from lipar.protocols import Autoencoder
from lipar.testing.closeness import assert_near
from lipar.video import synthetic_clip
from lipar_adapters.taef2 import FILES, PooledBlock, Taef2, make_layers

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    for side, name in FILES.items():
        torch.save(make_layers(side).state_dict(), tmp_path / name)
    return tmp_path


def test_a_frame_is_a_latent_frame_of_32_channels_at_an_eighth(folder):
    autoencoder = Taef2.load(folder, CPU)
    assert isinstance(autoencoder, Autoencoder)
    pixels = torch.rand(1, 3, 3, 32, 48)
    with torch.inference_mode():
        latents = autoencoder.encoder()(pixels)
        decoded = autoencoder.decoder()(latents)
        assert latents.shape == (1, 3, 32, 4, 6) and decoded.shape == pixels.shape
        assert decoded.min() >= 0 and decoded.max() <= 1
        # no frame depends on another
        assert_near(autoencoder.encoder()(pixels[:, 1:2]), latents[:, 1:2], 1e-4)


def test_a_pooled_block_without_its_pool_is_the_block_of_diffusers():
    from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

    block = AutoencoderTinyBlock(64, 64, "relu")
    pooled = PooledBlock(block)
    torch.nn.init.zeros_(pooled.pool[-1].weight)
    x = torch.randn(1, 64, 6, 6)
    assert_near(pooled(x), block(x), 1e-5)


def test_other_weights_are_refused_by_the_first_tensor_that_differs(folder):
    path = folder / FILES["decoder"]
    weights = torch.load(path)
    torch.save({**weights, "1.bias": torch.zeros(5)}, path)
    with pytest.raises(ValueError, match=r"1\.bias must be \[64\], got \[5\]"):
        Taef2.load(folder, CPU)
    torch.save({**weights, "99.bias": torch.zeros(5)}, path)
    with pytest.raises(ValueError, match=r"it has 99\.bias, which TAEF2 does not have"):
        Taef2.load(folder, CPU)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no .*taef2_decoder\.pth"):
        Taef2.load(folder, CPU)


def test_the_real_weights_give_pictures_back(shared):
    if not (shared / "weights" / FILES["encoder"]).is_file():
        pytest.skip("the weights of TAEF2 are not at hand")
    autoencoder = Taef2.load(shared / "weights", CPU)
    pixels = torch.stack([frame.rgb for frame in synthetic_clip(1, 96, 64)])[None] / 255
    with torch.inference_mode():
        latents = autoencoder.encoder()(pixels)
        assert 0.5 < float(latents.std()) < 1.5
        assert psnr(autoencoder.decoder()(latents), pixels) > 25
