"""Trains the bidirectional sibling of the causal transformer: image-to-video as Wan 2.2 TI2V 5B does it.

Ordinary flow matching on whole clips with their captions, one noise level per clip. In most samples the first latent
frame is the image condition: clean, at timestep 0, and out of the loss. In the rest every frame is noisy, so that
text-to-video and video-to-video work, too. Text encoder and autoencoder are those of the causal model, frozen.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from jaxtyping import Float, Int
from torch import Tensor

from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.parts import BIDIRECTIONAL
from lipar_adapters.tiny.recipe.latent_pool import Chunk, Grid, LatentPool, make_chunk
from lipar_adapters.tiny.recipe.lean_forward import bidirectional_flow
from lipar_adapters.tiny.recipe.train_transformer import HOME, SMALL, draw_sigmas
from lipar_adapters.tiny.recipe.training import Budget, Loop, seeded
from lipar_adapters.tiny.text import embed_tokens

TEXT_ROWS = 512
"""Rows of text that Wan's pipelines give a transformer by default; those after the prompt's end are zero."""
TRAIN_SHIFT = 2.0
LOWEST = 0.02
IMAGE_SHARE = 0.8
LAYERS = (0, 2, 3, 4)
"""Layers of the causal transformer that the sibling begins from: the four with the least error as they are."""
LENGTHS = (HOME, Grid(16, 16, 7), HOME, Grid(16, 16, 5))
MIXED = (
    HOME, Grid(12, 20), Grid(14, 24), Grid(20, 12), HOME, Grid(16, 16, 5), Grid(12, 12), Grid(12, 20, 7), HOME,
    Grid(24, 14), Grid(10, 16), Grid(16, 20),
)  # fmt: skip
HELD_BACK = 7_000_000
JUDGED_SIGMAS = (0.3, 0.6, 0.85, 0.97)


def grid_for(progress: float, number: int) -> Grid:
    """Small clips first, then the home size in three lengths, at last all sizes."""
    if progress < 0.12:
        return SMALL
    return LENGTHS[number % len(LENGTHS)] if progress < 0.65 else MIXED[number % len(MIXED)]


def begin_from(causal: WanTransformer3DModel, layers: tuple[int, ...] = LAYERS) -> WanTransformer3DModel:
    """A stock transformer with some layers of another one, and all that is not in layers."""
    transformer = WanTransformer3DModel.from_config({**causal.config, "num_layers": len(layers)})
    weights = {name: p for name, p in causal.state_dict().items() if not name.startswith("blocks.")}
    for place, layer in enumerate(layers):
        weights |= {f"blocks.{place}.{name}": p for name, p in causal.blocks[layer].state_dict().items()}
    transformer.load_state_dict(weights)
    return transformer


def load_start(folder: Path) -> WanTransformer3DModel:
    """The sibling in a folder of exported weights to go on from; where it has none, layers of its causal model."""
    if (folder / BIDIRECTIONAL).exists():
        return WanTransformer3DModel.from_pretrained(folder / BIDIRECTIONAL, local_files_only=True)
    return begin_from(WanTransformer3DModel.from_pretrained(folder / "transformer", local_files_only=True))


def embed_captions(
    text_encoder: Any, token_ids: Int[Tensor, "b n"], rows: int = TEXT_ROWS
) -> Float[Tensor, "b rows text_dim"]:
    """What a Wan pipeline's `encode_prompt` gives: the prompt's rows, then zeros."""
    with torch.no_grad():
        text = embed_tokens(text_encoder, token_ids)
    return torch.nn.functional.pad(text, (0, 0, 0, rows - text.shape[1]))


def noise_clips(
    clean: Float[Tensor, "b t c h w"],
    noise: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, " b"],
    has_image: Tensor,
) -> tuple[Float[Tensor, "b t c h w"], Float[Tensor, "b t"]]:
    """Noisy clips, and the noise level of each frame: 0 in the first one where a clip has an image condition."""
    levels = sigma[:, None].repeat(1, clean.shape[1])
    levels[:, 0] *= ~has_image
    level = levels[..., None, None, None]
    return (1 - level) * clean + level * noise, levels


def flow_error(
    transformer: WanTransformer3DModel,
    clean: Float[Tensor, "b t c h w"],
    noise: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, " b"],
    has_image: Tensor,
    text: Float[Tensor, "b rows text_dim"],
    dtype: torch.dtype,
) -> Float[Tensor, " b"]:
    """Mean square error of the predicted flow of each clip, over its noisy frames."""
    noisy, levels = noise_clips(clean, noise, sigma, has_image)
    flow = bidirectional_flow(transformer, noisy, levels * 1000.0, text, dtype)
    by_frame = (flow - (noise - clean)).square().mean((2, 3, 4))
    counted = levels > 0
    return (by_frame * counted).sum(1) / counted.sum(1)


class Judge:
    """The error on held-out clips with fixed noise, at fixed noise levels: comparable over a run and between runs."""

    def __init__(self, chunk: Chunk, text_encoder: Any, dtype: torch.dtype) -> None:
        self.clean = chunk.target[:, 0].float()
        self.text = embed_captions(text_encoder, chunk.token_ids[:, 0])
        generator = torch.Generator().manual_seed(0)
        self.noise = torch.randn(self.clean.shape, generator=generator).to(self.clean)
        self.dtype = dtype

    @torch.no_grad()
    def __call__(self, transformer: WanTransformer3DModel) -> dict[str, float]:
        """Mean square error of the flow by noise level with an image, and at .6 without one."""

        def error(level: float, image: bool) -> float:
            sigma = self.clean.new_full((len(self.clean),), level)
            has_image = torch.full_like(sigma, image, dtype=torch.bool)
            return float(
                flow_error(
                    transformer, self.clean, self.noise, sigma, has_image, self.text, self.dtype
                ).mean()
            )

        by_level = {f"held_back_{level}": error(level, True) for level in JUDGED_SIGMAS}
        return {**by_level, "held_back_without_image": error(0.6, False)}


def train_bidirectional(
    out: Path, vae: Any, text_encoder: Any, tokenizer: Any, transformer: WanTransformer3DModel, library: Library,
    held_back: Library, budget: Budget, seed: int = 0, resume: bool = False, tokens: int = 64 * 256 * 9,
    refresh: int = 80, scenes_each: int = 64, capacity: int = 16, peak_rate: float = 1.2e-3,
    stop_seconds: float = float("inf"), stop_steps: int | None = None,
    grids: Callable[[float, int], Grid] = grid_for, train_shift: float = TRAIN_SHIFT,
    judge_every: int = 250, judged_clips: int = 16, judged_grid: Grid = HOME,
) -> WanTransformer3DModel:  # fmt: skip
    """Train a transformer in place within a budget; returns it with its averaged weights.

    Args:
        out: folder of the log and the checkpoint.
        vae: encodes the clips.
        text_encoder: encodes the captions; it is not trained.
        tokenizer: of the text encoder.
        transformer: where to begin, see `load_start`.
        library: pictures that clips are rendered from, on the device to train on.
        held_back: pictures that are not trained on, for the judge.
        budget: minutes or steps.
        seed: of weights, clips and noise.
        resume: go on from the checkpoint in `out`.
        tokens: latent tokens per step.
        refresh: steps between newly rendered scenes.
        scenes_each: scenes rendered together.
        capacity: chunks of clips to draw from.
        peak_rate: highest learning rate.
        stop_seconds: leave after so much of this run, though the budget lasts longer.
        stop_steps: likewise, in steps.
        grids: from progress (0..1) and chunk number to the size of its clips.
        train_shift: shift of the noise levels.
        judge_every: steps between two measurements on held-out clips.
        judged_clips: number of these clips.
        judged_grid: their size.
    """
    device = library.device
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    transformer.to(device).train()
    vae.eval()
    text_encoder.to(device).eval().requires_grad_(False)
    loop = Loop(
        "bidirectional", out, {"transformer": transformer}, budget, peak_rate,
        stop_seconds=stop_seconds, stop_steps=stop_steps,
    )  # fmt: skip
    pool = LatentPool(
        vae, library, tokenizer, scenes_each, edits=2, capacity=capacity, first_frame_alone=True
    )
    if resume and loop.resume():
        pool.restore(loop.state["pool"])
    chunk = make_chunk(
        HELD_BACK, judged_grid, vae, held_back, tokenizer, judged_clips, edits=1, first_frame_alone=True
    )
    judge = Judge(chunk, text_encoder, dtype)

    def one_step(step: int, progress: float) -> dict[str, Any]:
        pool.refill(seed * 1_000_000 + step // refresh, lambda number: grids(progress, number))
        loop.state["pool"] = pool.contents()
        rng = np.random.default_rng([seed, step, 3])
        generator = seeded(device, seed, step)
        _, clean, token_ids = pool.draw(rng, tokens)
        sigma = torch.from_numpy(draw_sigmas(rng, len(clean), 1, train_shift, LOWEST)[:, 0])
        has_image = torch.rand(len(clean), generator=generator, device=device) < IMAGE_SHARE
        noise = torch.randn(clean.shape, generator=generator, device=device)
        loss = flow_error(
            transformer, clean, noise, sigma.to(device, torch.float32), has_image,
            embed_captions(text_encoder, token_ids), dtype,
        ).mean()  # fmt: skip
        norm = loop.update(loss)
        judged = judge(transformer) if step % judge_every == 0 else loop.state["judged"]
        loop.state["judged"] = judged
        return {"loss": loss.detach(), "norm": norm, "tokens": clean[0].numel() // 64, **judged}

    loop.run(one_step)
    loop.load_average()
    return transformer.eval()
