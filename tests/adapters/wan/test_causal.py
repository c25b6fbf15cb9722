"""A causal Wan model: its prompt, its noise levels, and parts that do not belong together."""

import pytest
import torch
from wan_toys import toy_transformer, toy_vae

from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass, Model
from lipar.sampling.flow import warped_sigmas
from lipar.testing.attention import FillAll
from lipar_adapters.wan.autoencoder import WanAutoencoder
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings


def encoded(prompts: list[str]) -> torch.Tensor:
    """Rows of a prompt's length, so that prompts can be told apart."""
    return torch.stack([torch.full((4, 64), float(len(prompt))) for prompt in prompts])


def model(**settings: float) -> CausalWan:
    return CausalWan(toy_transformer(), RunSettings(**settings), encode_prompt=encoded)  # type: ignore[arg-type]


def test_it_is_a_model_with_the_sizes_of_its_transformer() -> None:
    wan = model()
    assert isinstance(wan, Model)
    assert (wan.num_layers, wan.patch_size, wan.latent_channels) == (2, 2, 16)
    assert wan.device == torch.device("cpu") and wan.dtype == torch.float32


@pytest.mark.parametrize(("scale", "lengths"), [(1.0, [4.0]), (3.0, [4.0, 0.0])])
def test_with_guidance_the_empty_prompt_is_encoded_as_well(scale: float, lengths: list[float]) -> None:
    wan = model(guidance_scale=scale)
    wan.set_prompt("snow")
    assert wan.prompt_embeds is not None
    assert wan.prompt_embeds[:, 0, 0].tolist() == lengths


def test_a_prompt_that_was_set_before_is_not_encoded_again() -> None:
    asked: list[list[str]] = []

    def counted(prompts: list[str]) -> torch.Tensor:
        asked.append(prompts)
        return encoded(prompts)

    wan = CausalWan(toy_transformer(), RunSettings(), encode_prompt=counted)
    for prompt in ("snow", "night", "snow"):
        wan.set_prompt(prompt)
        assert wan.prompt_embeds is not None
        assert wan.prompt_embeds[0, 0, 0] == len(prompt)
        wan.prompt_embeds.zero_()  # a caller may: the next one gets its own
    assert asked == [["snow"], ["night"]]


def test_strength_scales_the_edit_steps_and_none_takes_those_from_pure_noise() -> None:
    settings = RunSettings(shift=5.0, edit_steps=(400, 200), text_to_video_steps=(1000, 500))
    wan = CausalWan(toy_transformer(), settings)
    assert wan.sigmas(0.4) == warped_sigmas((400, 200), 5.0)
    assert wan.sigmas(0.8) == warped_sigmas((800, 400), 5.0)
    assert wan.sigmas(None) == warped_sigmas((1000, 500), 5.0)


def test_given_steps_are_taken_as_they_are_and_strength_0_takes_none() -> None:
    wan = model(shift=5.0)
    assert wan.sigmas(0.4, (900, 100)) == warped_sigmas((900, 100), 5.0)
    assert wan.sigmas(0.0, (900, 100)) == []


def test_the_keys_of_a_frame_are_counted_with_its_autoencoders_factor() -> None:
    bare = CausalWan(toy_transformer(), RunSettings())
    coded = CausalWan(toy_transformer(), RunSettings(), autoencoder=WanAutoencoder(toy_vae()))
    # 2 layers, 3 x 4 tokens, 2 heads of 16, float32
    assert bare.kv_frame_bytes(48 * 64) == coded.kv_frame_bytes(48 * 64) == 2 * 12 * 32 * 4


def test_without_a_text_encoder_the_prompt_must_come_as_rows() -> None:
    wan = CausalWan(toy_transformer(), RunSettings())
    with pytest.raises(RuntimeError, match=r"no text encoder; set `prompt_embeds`"):
        wan.set_prompt("snow")
    layout = TokenLayout(torch.ones(1, 2, 2, dtype=torch.bool), has_history=False)
    from lipar.attention.block import BlockContext
    from lipar.attention.kv_cache import KVCache

    attention = BlockContext(KVCache(wan.num_layers, wan.rope), layout, FillAll(), None)
    with pytest.raises(RuntimeError, match="no prompt yet"):
        wan.forward(torch.zeros(1, 1, 16, 4, 4), ForwardPass.at(0, 0.5), attention)


def test_a_text_encoder_of_another_width_is_refused() -> None:
    wan = CausalWan(toy_transformer(), RunSettings(), encode_prompt=lambda prompts: torch.zeros(1, 4, 32))
    with pytest.raises(ValueError, match="rows of 32 channels, and the transformer takes 64"):
        wan.set_prompt("snow")


def test_an_autoencoder_of_other_latents_is_refused() -> None:
    with pytest.raises(ValueError, match="makes latents of 16 channels, and the transformer takes 8"):
        CausalWan(toy_transformer(in_channels=8), RunSettings(), autoencoder=WanAutoencoder(toy_vae()))


def test_patches_that_reach_over_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"this model has patches of \(2, 2, 2\)"):
        CausalWan(toy_transformer(patch_size=(2, 2, 2)), RunSettings())
