"""PyTorch 2.9 is warned of where its slow 3D convolutions would run."""

import warnings

import pytest
import torch
from wan_toys import toy_vae

from lipar.watch.slow_convolutions import SlowConvolutionsWarning, warn_of_slow_convolutions
from lipar_adapters.wan.autoencoder import WanAutoencoder

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def release(monkeypatch, version, cudnn=91002):
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: cudnn)


@pytest.mark.parametrize(
    ("version", "cudnn"), [("2.9.0+cu128", 91002), ("2.9.0", 91600), ("2.9.1+cu130", 91002)]
)
def test_it_is_warned_of_on_a_gpu_in_bfloat16(monkeypatch, version, cudnn):
    release(monkeypatch, version, cudnn)
    with pytest.warns(SlowConvolutionsWarning, match="install torch 2.10 or later"):
        warn_of_slow_convolutions(GPU, torch.bfloat16)


@pytest.mark.parametrize(
    ("version", "cudnn", "device", "dtype"),
    [
        ("2.9.1", 91500, GPU, torch.bfloat16),
        ("2.8.0", 91002, GPU, torch.bfloat16),
        ("2.10.0+cu128", 91002, GPU, torch.bfloat16),
        ("2.90.0", 91002, GPU, torch.bfloat16),
        ("2.9.0", 91002, CPU, torch.bfloat16),
        ("2.9.0", 91002, GPU, torch.float32),
    ],
)
def test_elsewhere_nothing_is_said(monkeypatch, version, cudnn, device, dtype):
    release(monkeypatch, version, cudnn)
    warn_of_slow_convolutions(device, dtype)


def test_it_is_shown_once(monkeypatch):
    release(monkeypatch, "2.9.0")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(3):
            warn_of_slow_convolutions(GPU, torch.bfloat16)
    assert len(shown) == 1


def test_an_autoencoder_warns_when_it_is_loaded(monkeypatch):
    release(monkeypatch, "2.9.0")
    WanAutoencoder(toy_vae().bfloat16())
    monkeypatch.setattr(WanAutoencoder, "device", GPU)
    with pytest.warns(SlowConvolutionsWarning):
        WanAutoencoder(toy_vae().bfloat16())
