"""Trains the block-causal transformer and its text encoder: flow matching with clean context, and paired edits.

Ordinary samples noise the target's own latents. Paired samples noise the *source's* latents and aim the flow at the
target: what the first step of an SDEdit run meets. At low noise they noise what lies between source and target: what
later steps meet. That makes a small model edit strongly, and it is a departure from how Self-Forcing models are
trained, stated in docs/reference/model-card.md.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.parts import load_text
from lipar_adapters.tiny.recipe import lean_forward
from lipar_adapters.tiny.recipe.latent_pool import Grid, LatentPool
from lipar_adapters.tiny.recipe.lean_forward import BLOCK_FRAMES, Window, teacher_forced_flow
from lipar_adapters.tiny.recipe.training import Budget, Loop, seeded
from lipar_adapters.tiny.text import TEXT_DIM, build_text_encoder, build_tokenizer, embed_tokens

TRAIN_SHIFT = 1.2
PAIRED_FROM = 0.2
"""Noise level above which paired samples start at the source itself, below it somewhere on the way to the target."""
PAIRED_WEIGHT_SIGMA = 0.5
"""Below it, paired errors are weighed by their size in pixels: as a flow they grow with 1 / sigma."""
PAIRED_SHARE = 0.75
FULL_WINDOW_SHARE = 0.25
HOME = Grid(16, 16)
SMALL = Grid(8, 8)
MIXED = (HOME, Grid(12, 20), HOME, Grid(20, 12), Grid(12, 12), Grid(10, 16), HOME, Grid(16, 10))


def build_transformer(**changes: int) -> WanTransformer3DModel:
    """A stock Wan transformer of three million parameters; `changes` make smaller ones for tests."""
    options = {"num_attention_heads": 6, "attention_head_dim": 32, "ffn_dim": 576, "num_layers": 5, **changes}
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), in_channels=16, out_channels=16, text_dim=TEXT_DIM, freq_dim=256, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", rope_max_seq_len=1024, **options,
    )  # fmt: skip
    torch.nn.init.zeros_(transformer.proj_out.weight)
    torch.nn.init.zeros_(transformer.proj_out.bias)
    return transformer


def grid_for(progress: float, number: int) -> Grid:
    """Small clips first, then the home size, at last all sizes."""
    if progress < 0.3:
        return SMALL
    return HOME if progress < 0.8 else MIXED[number % len(MIXED)]


def grid_to_go_on(progress: float, number: int) -> Grid:
    """Grids for a model that was trained on small clips: the home size, then all sizes."""
    return grid_for(max(progress, 0.3), number)


def draw_sigmas(
    rng: np.random.Generator, batch: int, blocks: int, shift: float, lowest: float = 0.06
) -> Float[np.ndarray, "batch blocks"]:
    """Noise levels up to 1, denser towards noise; `lowest` is that before the shift."""
    uniform = rng.uniform(lowest, 1.0, (batch, blocks))
    return shift * uniform / (1 + (shift - 1) * uniform)


def compiled_layer(mode: str) -> Callable[..., Tensor]:
    """The layer as it is, or compiled with the batch and the number of places left open, so that all grids share it."""
    if mode == "none":
        return lean_forward.layer_forward
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.automatic_dynamic_shapes = False
    compiled = torch.compile(lean_forward.layer_forward)

    def layer(
        weights: dict[str, Tensor],
        tokens: Tensor,
        modulation: Tensor,
        text: Tensor,
        table: Tensor,
        contexts: list[list[int]],
        heads: int,
    ) -> Tensor:
        for tensor, dims in ((tokens, (0, 3)), (modulation, (0,)), (text, (0,)), (table, (2,))):
            torch._dynamo.maybe_mark_dynamic(tensor, dims)
        return compiled(weights, tokens, modulation, text, table, contexts, heads)

    return layer


def train_transformer(
    out: Path, vae: TinyVideoAutoencoder, library: Library, budget: Budget, seed: int = 0, resume: bool = False,
    tokens: int = 32 * 256 * 9, compile_mode: str = "none", refresh: int = 48, scenes_each: int = 32,
    capacity: int = 16, peak_rate: float = 1.5e-3, stop_seconds: float = float("inf"),
    grids: Callable[[float, int], Grid] | None = None, start_from: Path | None = None,
    stop_steps: int | None = None, train_shift: float = TRAIN_SHIFT,
    paired_from: float = PAIRED_FROM, freeze_text: bool = False, **changes: int,
) -> tuple[WanTransformer3DModel, torch.nn.Module, object]:  # fmt: skip
    """Train within a budget; returns the averaged transformer, text encoder, and the tokenizer.

    Args:
        out: folder of the log and the checkpoint.
        vae: encodes the clips.
        library: pictures that clips are rendered from, on the device to train on.
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
        grids: from progress (0..1) and chunk number to the size of its clips; None: `grid_for` or `grid_to_go_on`.
        train_shift: shift of the noise levels.
        compile_mode: `layer` compiles one layer on a GPU; `none`.
        start_from: folder of exported weights to go on from.
        paired_from: noise level above which paired samples start at the source itself.
        freeze_text: leave the text encoder as it is; needs `start_from`.
        **changes: sizes of a new transformer, see `build_transformer`.

    Raises:
        ValueError: `freeze_text` without `start_from`.
    """
    if freeze_text and start_from is None:
        raise ValueError("freeze_text needs a trained text encoder: give start_from")
    grids = grids or (grid_for if start_from is None else grid_to_go_on)
    device = library.device
    cuda = device.type == "cuda"
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    transformer = build_transformer(**changes)
    text_encoder = build_text_encoder(len(tokenizer))
    if start_from is not None:
        transformer = WanTransformer3DModel.from_pretrained(start_from / "transformer", local_files_only=True)
        text_encoder.load_state_dict(load_text(start_from)[1].state_dict())
    transformer.to(device).train()
    text_encoder.to(device).requires_grad_(not freeze_text)
    modules = (
        {"transformer": transformer}
        if freeze_text
        else {"transformer": transformer, "text_encoder": text_encoder}
    )
    loop = Loop(
        "transformer", out, modules, budget, peak_rate, stop_seconds=stop_seconds, stop_steps=stop_steps
    )
    pool = LatentPool(vae.eval(), library, tokenizer, scenes_each, capacity=capacity)
    if resume and loop.resume():
        pool.restore(loop.state["pool"])
    layer = compiled_layer(compile_mode if cuda else "none")

    def flow(clean: Tensor, noisy: Tensor, sigma: Tensor, text: Tensor, window: Window) -> Tensor:
        return teacher_forced_flow(
            transformer, clean, noisy, sigma, text, window, layer, torch.bfloat16 if cuda else torch.float32
        )

    def one_step(step: int, progress: float) -> dict[str, Tensor]:
        pool.refill(seed * 1_000_000 + step // refresh, lambda number: grids(progress, number))
        loop.state["pool"] = pool.contents()
        rng = np.random.default_rng([seed, step, 3])
        generator = seeded(device, seed, step)
        source, target, token_ids = pool.draw(rng, tokens)
        batch, frames = source.shape[:2]
        text = embed_tokens(text_encoder, token_ids)

        def noise() -> Tensor:
            return torch.randn(source.shape, generator=generator, device=device)

        def per_frame(blocks: Tensor) -> Tensor:
            return blocks.repeat_interleave(BLOCK_FRAMES, 1)[..., None, None, None]

        def chance(share: float) -> Tensor:
            return torch.rand(batch, 1, 1, 1, 1, generator=generator, device=device) < share

        blocks = frames // BLOCK_FRAMES
        sigma = torch.from_numpy(draw_sigmas(rng, batch, blocks, train_shift)).to(device, torch.float32)
        level = per_frame(sigma)
        paired = chance(PAIRED_SHARE)
        on_the_way = torch.rand(batch, 1, 1, 1, 1, generator=generator, device=device)
        begun = torch.where(level > paired_from, source, source.lerp(target, on_the_way))
        noisy = (1 - level) * torch.where(paired, begun, target) + level * noise()
        window = Window(window_frames=None) if rng.random() < FULL_WINDOW_SHARE and frames == 9 else Window()
        # A context is never quite clean when it comes from the model's own output.
        clean = (
            target
            + chance(0.3) * 0.1 * torch.rand(batch, 1, 1, 1, 1, generator=generator, device=device) * noise()
        )
        if progress > 0.6 and rng.random() < 0.25:
            # Detached rather than under no_grad: a change of mode would compile the layer again.
            low = torch.full_like(sigma, float(rng.uniform(0.3, 0.6)))
            draft = (1 - per_frame(low)) * target + per_frame(low) * noise()
            own = draft - per_frame(low) * flow(clean, draft, low, text, window).detach()
            clean = torch.where(chance(0.5), own, clean)
        error = flow(clean, noisy, sigma, text, window) - (noisy - target) / level
        weight = torch.where(paired, (level / PAIRED_WEIGHT_SIGMA).clamp(max=1).square(), 1.0)
        loss = (weight * error.square()).mean()
        norm = loop.update(loss)
        with torch.no_grad():
            by_block = (error.detach() * level).square().mean((1, 2, 3, 4))
        return {
            "loss": loss.detach(),
            "x0_error": by_block.mean(),
            "norm": norm,
            "tokens": torch.tensor(source.shape[-1] * source.shape[-2] // 4),
        }

    loop.run(one_step)
    loop.load_average()
    return transformer, text_encoder, tokenizer
