"""LTX-Video models of a few thousand parameters, with diffusers' own classes, for tests."""

from typing import Any

import torch
from PIL import Image

from lipar import TokenLayout

KINDS = ("t2v", "i2v")
GRID = (3, 2, 3)
FRAMES, HEIGHT, WIDTH = 17, 64, 96
"""A latent frame has 8 pixel frames, and a latent 32x32 pixels, as in the released model."""


def toy_transformer(seed: int = 0, **changes: Any) -> Any:
    """An `LTXVideoTransformer3DModel` with random weights: 2 layers of 2 heads, 8 latent channels, text width 16."""
    from diffusers import LTXVideoTransformer3DModel

    sizes = {
        "in_channels": 8,
        "out_channels": 8,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "cross_attention_dim": 32,
        "num_layers": 2,
        "caption_channels": 16,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LTXVideoTransformer3DModel(**{**sizes, **changes}).eval()


def toy_vae(seed: int = 0) -> Any:
    """An `AutoencoderKLLTXVideo` with as many stages as the released one; its latents have 8 channels."""
    from diffusers import AutoencoderKLLTXVideo

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        ).eval()
        vae.latents_mean.normal_()
        vae.latents_std.uniform_(0.5, 2.0)
    return vae


def toy_text_parts() -> dict[str, Any]:
    """A T5 encoder of one layer, and its tokenizer of few words."""
    from transformers import T5Config, T5EncoderModel

    from lipar_adapters.tiny.text import build_tokenizer

    tokenizer = build_tokenizer()
    config = T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"text_encoder": T5EncoderModel(config).eval(), "tokenizer": tokenizer}


def toy_pipeline(kind: str, seed: int = 0, **changes: Any) -> Any:
    """A whole pipeline, text encoder included.

    Args:
        kind: `t2v` or `i2v`.
        seed: of the weights.
        changes: to what the pipeline is registered with.
    """
    import diffusers

    parts: dict[str, Any] = {
        "vae": toy_vae(seed),
        "transformer": toy_transformer(seed),
        # as in the released model, which shifts noise levels by the number of tokens
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            base_shift=0.95,
            max_shift=2.05,
            base_image_seq_len=1024,
            shift_terminal=0.1,
        ),
        **toy_text_parts(),
    }
    name = {"t2v": "LTXPipeline", "i2v": "LTXImageToVideoPipeline"}[kind]
    pipe = getattr(diffusers, name)(**(parts | changes))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def options(kind: str, **changes: Any) -> dict[str, Any]:
    """Arguments of a call of a toy pipeline of this kind."""
    given: dict[str, Any] = {
        "prompt": "watercolour",
        "negative_prompt": "",
        "height": HEIGHT,
        "width": WIDTH,
        "num_frames": FRAMES,
        "num_inference_steps": 4,
        "guidance_scale": 3.0,
        "max_sequence_length": 8,
        "output_type": "latent",
        "generator": torch.Generator().manual_seed(0),
    }
    if kind == "i2v":
        given["image"] = Image.new("RGB", (WIDTH, HEIGHT), (90, 60, 30))
    return given | changes


def run(pipe: Any, kind: str, **changes: Any) -> torch.Tensor:
    """The latents that a call ends with, as tokens `b places c`: text-to-video returns them packed."""
    frames: torch.Tensor = pipe(**options(kind, **changes)).frames
    return frames if frames.ndim == 3 else frames.flatten(2).transpose(1, 2)


def some_layout(seed: int = 0, grid: tuple[int, int, int] = GRID) -> TokenLayout:
    """A random layout with a first frame that is kept in full."""
    keep_mask = torch.rand(grid, generator=torch.Generator().manual_seed(seed)) < 0.5
    keep_mask[0] = True
    return TokenLayout(keep_mask, has_history=False)


def forward(
    transformer: Any,
    grid: tuple[int, int, int] = GRID,
    *,
    timestep: Any = 500.0,
    videos: int = 1,
    **changes: Any,
) -> torch.Tensor:
    """The output of a forward that no pipeline makes, `b places c`."""
    generator = torch.Generator().manual_seed(3)
    count = grid[0] * grid[1] * grid[2]
    channels = transformer.config.in_channels
    given: dict[str, Any] = {
        "hidden_states": torch.randn(videos, count, channels, generator=generator),
        "encoder_hidden_states": torch.randn(videos, 5, 16, generator=generator),
        "timestep": torch.as_tensor(timestep).expand(videos) if isinstance(timestep, float) else timestep,
        "encoder_attention_mask": torch.tensor([[1, 1, 1, 0, 0]]).expand(videos, -1),
        "num_frames": grid[0],
        "height": grid[1],
        "width": grid[2],
        "rope_interpolation_scale": (8 / 25, 32, 32),
    }
    given = {
        name: value.to(transformer.device) if isinstance(value, torch.Tensor) else value
        for name, value in {**given, **changes}.items()
    }
    with torch.no_grad():
        output: torch.Tensor = transformer(**given, return_dict=False)[0]
    return output
