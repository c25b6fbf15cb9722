"""Wan models of a few thousand parameters, with diffusers' own classes, for tests."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import torch


def toy_transformer(seed: int = 0, **changes: Any) -> Any:
    """A `WanTransformer3DModel` with random weights: 2 layers of 2 heads, 16 latent channels, text width 64."""
    from diffusers import WanTransformer3DModel

    sizes = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": 64,
        "freq_dim": 32,
        "ffn_dim": 48,
        "num_layers": 2,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return WanTransformer3DModel(**{**sizes, **changes}).eval()


def toy_vae(seed: int = 0, **changes: Any) -> Any:
    """An `AutoencoderKLWan` of Wan 2.1's form, 3 channels wide; its latents are 16 channels at 1/8."""
    from diffusers import AutoencoderKLWan

    sizes = {"base_dim": 3, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoencoderKLWan(**{**sizes, **changes}).eval()


def save_wan_folder(folder: Path) -> Any:
    """Write a whole diffusers folder, with a text encoder of few words; gives its transformer."""
    from lipar_adapters.tiny.text import build_text_encoder, build_tokenizer

    with torch.random.fork_rng():
        torch.manual_seed(1)
        tokenizer = build_tokenizer()
        tokenizer.save_pretrained(folder / "tokenizer")
        build_text_encoder(len(tokenizer)).save_pretrained(folder / "text_encoder")
    transformer = toy_transformer()
    transformer.save_pretrained(folder / "transformer")
    toy_vae().save_pretrained(folder / "vae")
    return transformer


_ORIGINAL_NAMES = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    (".attn1.", ".self_attn."),
    (".attn2.", ".cross_attn."),
    (".to_q.", ".q."),
    (".to_k.", ".k."),
    (".to_v.", ".v."),
    (".to_out.0.", ".o."),
    (".ffn.net.0.proj.", ".ffn.0."),
    (".ffn.net.2.", ".ffn.2."),
    (".norm2.", ".norm3."),
    (".scale_shift_table", ".modulation"),
)


def original_names(transformer: Any) -> dict[str, torch.Tensor]:
    """Its weights under Wan's own names, as the released checkpoints have them."""
    renamed = {}
    for name, tensor in transformer.state_dict().items():
        if name == "scale_shift_table":
            name = "head.modulation"
        name = name.replace("proj_out.", "head.head.", 1) if name.startswith("proj_out.") else name
        for ours, theirs in _ORIGINAL_NAMES:
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    return renamed


def toy_pipeline(kind: str, *, seed: int = 0, scheduler: Any = "euler", **changes: Any) -> Any:
    """A pipeline without a text encoder: give it `prompt_embeds` of `toy_prompt`.

    Args:
        kind: `t2v`, `t2v-a14b`, `v2v` and `t2v-5b` (text or video to video); `i2v-a14b` and `i2v-5b`.
        seed: of the weights.
        scheduler: `euler` or `unipc`, or one of diffusers.
        changes: to what the pipeline is registered with.
    """
    import diffusers

    channels = 36 if kind == "i2v-a14b" else 16
    sizes = {"in_channels": channels}
    parts: dict[str, Any] = {
        "tokenizer": None,
        "text_encoder": None,
        "vae": toy_vae(seed),
        "transformer": toy_transformer(seed, **sizes),
        "scheduler": toy_scheduler(scheduler) if isinstance(scheduler, str) else scheduler,
    }
    if kind.endswith("a14b"):
        parts |= {"transformer_2": toy_transformer(seed + 1, **sizes), "boundary_ratio": 0.9}
    if kind.endswith("5b"):
        parts["expand_timesteps"] = True
    names = {"i2v": "WanImageToVideoPipeline", "v2v": "WanVideoToVideoPipeline", "t2v": "WanPipeline"}
    pipe = getattr(diffusers, names[kind[:3]])(**(parts | changes))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def toy_scheduler(name: str) -> Any:
    """The two flow matching schedulers that Wan comes with."""
    from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

    if name == "euler":
        return FlowMatchEulerDiscreteScheduler(shift=5.0)
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0)


def toy_prompt(seed: int = 0, rows: int = 8) -> dict[str, torch.Tensor]:
    """`prompt_embeds` and `negative_prompt_embeds` for `toy_pipeline`."""
    generator = torch.Generator().manual_seed(seed)
    names = ("prompt_embeds", "negative_prompt_embeds")
    return {name: torch.randn(1, rows, 64, generator=generator) for name in names}


def save_pipeline(folder: Path, kind: str, **changes: Any) -> Path:
    """Write a toy pipeline as a diffusers folder, with a text encoder of few words; gives the folder."""
    from lipar_adapters.tiny.text import build_text_encoder, build_tokenizer

    tokenizer = build_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = build_text_encoder(len(tokenizer))
    pipe = toy_pipeline(kind, tokenizer=tokenizer, text_encoder=encoder, **changes)
    pipe.save_pretrained(folder)
    return folder


def write_motion_folder(folder: Path, frames: int, prompt: str) -> Path:
    """What Time-to-Move is driven by: a white square that moves to the right over grey, at 10 frames a second."""
    from PIL import Image

    from lipar.video import VideoWriter

    folder.mkdir()
    motion = torch.full((frames, 3, 48, 64), 90, dtype=torch.uint8)
    mask = torch.zeros_like(motion)
    for index in range(frames):
        for video in (motion, mask):
            video[index, :, 16:32, 8 + 2 * index : 24 + 2 * index] = 255
    for name, video in (("motion_signal", motion), ("mask", mask)):
        # not `make_video`, whose files do not say their rate
        with VideoWriter(folder / f"{name}.mp4", width=64, height=48, time_base=Fraction(1, 10)) as writer:
            for index, rgb in enumerate(video):
                writer.write(rgb, pts=index, duration=1)
    Image.fromarray(motion[0].permute(1, 2, 0).numpy()).save(folder / "first_frame.png")
    (folder / "prompt.txt").write_text(prompt)
    return folder


def bare(transformer: Any, level: float = 500.0) -> torch.Tensor:
    """The output of a forward that no pipeline makes."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(1, transformer.config.in_channels, 3, 4, 6, generator=generator)
    prompt = toy_prompt()["prompt_embeds"]
    with torch.no_grad():
        output: torch.Tensor = transformer(latents, torch.tensor([level]), prompt, return_dict=False)[0]
    return output


def hooks_of(transformer: Any) -> int:
    """How many hooks of torch are on a transformer and below."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in transformer.modules()
    )


def object_graph(transformer: Any) -> dict[str, Any]:
    """Everything that hangs on a model: attributes and hooks of its modules, processors and their attributes."""
    graph: dict[str, Any] = {}
    for name, module in transformer.named_modules():
        for key, value in vars(module).items():
            graph[f"{name}.{key}"] = list(value.items()) if isinstance(value, dict) else id(value)
        if hasattr(module, "processor"):
            graph[f"{name}.processor()"] = (id(module.processor), dict(vars(module.processor)))
    return graph
