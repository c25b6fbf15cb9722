"""Released Wan transformers in full size, on the meta device, which holds no values."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from wan_toys import original_names

from lipar_adapters.catalogue import entries
from lipar_adapters.checkpoint_errors import CheckpointError
from lipar_adapters.wan.checkpoints import infer_config
from lipar_adapters.wan.shapes import SHAPES
from lipar_adapters.weights import Header, Headers, check_headers

COMMON = {
    "attention_head_dim": 128,
    "cross_attn_norm": True,
    "eps": 1e-06,
    "freq_dim": 256,
    "patch_size": [1, 2, 2],
    "qk_norm": "rms_norm_across_heads",
    "text_dim": 4096,
}
# the figures of `get_transformer_config` in scripts/convert_wan_to_diffusers.py of diffusers (commit 58eb52c)
CONFIGS: dict[str, dict[str, Any]] = {
    "wan2.1-1.3b": {"num_layers": 30, "num_attention_heads": 12, "ffn_dim": 8960, "in_channels": 16},
    "wan2.1-14b": {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824, "in_channels": 16},
    "wan2.2-ti2v-5b": {"num_layers": 30, "num_attention_heads": 24, "ffn_dim": 14336, "in_channels": 48},
    "wan2.2-a14b": {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824, "in_channels": 36},
    "wan2.2-a14b-t2v": {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824, "in_channels": 16},
}
OUT_CHANNELS = {"wan2.2-ti2v-5b": 48}
NAMES = pytest.mark.parametrize("name", CONFIGS)


@cache
def full_size(name: str) -> Any:
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        return WanTransformer3DModel.from_config(
            {**COMMON, **CONFIGS[name], "out_channels": OUT_CHANNELS.get(name, 16)}
        )


def headers_of(state: dict[str, torch.Tensor]) -> Headers:
    return {name: Header(tuple(tensor.shape), tensor.is_floating_point()) for name, tensor in state.items()}


def weights_in(name: str) -> Iterator[tuple[str, int, bool]]:
    """Folder, bytes and exactness of each transformer of an entry in the catalogue."""
    files = [file for file in entries()[name].files if file.path.endswith(".safetensors")]
    for folder in ("transformer", "transformer_2"):
        inside = [file for file in files if file.path.startswith(f"{folder}/")]
        if inside:
            yield folder, sum(file.size or 0 for file in inside), all(file.exact for file in inside)


@NAMES
def test_every_original_name_becomes_one_name_of_diffusers(name: str) -> None:
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    model = full_size(name)
    original = original_names(model)
    assert len(original) == len(model.state_dict())
    converted = convert_wan_transformer_to_diffusers(dict(original))
    assert converted.keys() == model.state_dict().keys()
    check_headers(headers_of(converted), model, entries_path(name))
    assert not {"blocks.0.attn1.to_q.weight", "proj_out.weight"} & original.keys()


@NAMES
def test_the_config_follows_from_the_shapes_under_either_names(name: str) -> None:
    expected = {**COMMON, **CONFIGS[name], "out_channels": OUT_CHANNELS.get(name, 16)}
    assert infer_config(original_names(full_size(name))) == expected
    assert infer_config(full_size(name).state_dict()) == expected


@NAMES
def test_the_sizes_in_the_catalogue_are_those_of_the_architecture(name: str) -> None:
    state = full_size(name).state_dict()
    numbers = 4 * sum(tensor.numel() for tensor in state.values())
    found = list(weights_in(name))
    assert len(found) == (2 if "a14b" in name else 1)
    for folder, size, exact in found:
        # a header has name, type, shape and place of each tensor
        beyond = size - numbers
        assert 0 < beyond < 200 * len(state) if exact else abs(beyond) <= 12, (folder, beyond)


def test_the_checkpoint_of_self_forcing_is_as_large_as_its_parameters() -> None:
    numbers = 4 * sum(tensor.numel() for tensor in full_size("wan2.1-1.3b").state_dict().values())
    (file,) = entries()["self-forcing"].part("checkpoint").files
    assert (file.size, file.exact) == (numbers, False)
    (repackaged,) = entries()["causal-forcing-comfyui"].part("checkpoint").files
    assert repackaged.size is not None and numbers < repackaged.size < numbers + 200 * 825


# the second is `vae22_diffusers_config` of the same script, less the means and deviations, which are no weights
AUTOENCODERS: dict[str, dict[str, Any]] = {
    "wan2.1-1.3b": {},
    "wan2.2-ti2v-5b": {
        "base_dim": 160,
        "z_dim": 48,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "decoder_base_dim": 256,
        "scale_factor_spatial": 16,
        "patch_size": 2,
    },
}


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_autoencoder_in_the_catalogue_is_as_large_as_its_parameters(name: str) -> None:
    from diffusers import AutoencoderKLWan

    with torch.device("meta"):
        state = AutoencoderKLWan(**AUTOENCODERS[name]).state_dict()
    numbers = 4 * sum(tensor.numel() for tensor in state.values())
    (file,) = [
        file for file in entries()[name].files if file.path == "vae/diffusion_pytorch_model.safetensors"
    ]
    assert file.size is not None and 0 < file.size - numbers < 200 * len(state)


@pytest.mark.parametrize(("ours", "name"), [("wan2.1-1.3b", "wan2.1-1.3b"), ("wan2.2-5b", "wan2.2-ti2v-5b")])
def test_the_shapes_of_the_bench_are_those_of_the_released_models(ours: str, name: str) -> None:
    shape, config = SHAPES[ours], full_size(name).config
    assert (shape.layers, shape.heads, shape.ffn_width) == (
        config.num_layers, config.num_attention_heads, config.ffn_dim,
    )  # fmt: skip
    assert (shape.head_dim, shape.latent_channels, shape.text_width, shape.time_width) == (
        config.attention_head_dim, config.out_channels, config.text_dim, config.freq_dim,
    )  # fmt: skip


def test_the_first_names_that_differ_are_told() -> None:
    model = full_size("wan2.1-1.3b")
    shallow = {
        name: header for name, header in headers_of(model.state_dict()).items() if "blocks.29." not in name
    }
    with pytest.raises(CheckpointError) as caught:
        check_headers(shallow, model, entries_path("wan2.1-1.3b"))
    first = sorted(name for name in model.state_dict() if "blocks.29." in name)
    assert f"none named {first[0]!r}, {first[1]!r}, {first[2]!r} and {len(first) - 3} more" in str(
        caught.value
    )
    deeper = {**headers_of(model.state_dict()), "blocks.30.attn1.to_q.weight": Header((1536, 1536), True)}
    with pytest.raises(CheckpointError, match=r"got also 'blocks\.30\.attn1\.to_q\.weight'"):
        check_headers(deeper, model, entries_path("wan2.1-1.3b"))


def test_the_weights_of_another_size_are_told_by_the_first_tensor_that_differs() -> None:
    small, large = full_size("wan2.1-1.3b"), full_size("wan2.2-ti2v-5b")
    with pytest.raises(
        CheckpointError, match=r"expected scale_shift_table of shape \[1, 2, 1536\], .* got \[1, 2, 3072\]"
    ):
        check_headers(headers_of(large.state_dict()), small, entries_path("wan2.2-ti2v-5b"))


def entries_path(name: str) -> Any:
    from pathlib import Path

    return Path(entries()[name].parts[0].repository)
