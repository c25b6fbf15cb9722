"""Trains the autoencoder: noisy frames in, clean frames out, so that still scenes give steady latents."""

from collections import deque
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.clips.looks import LOOKS, MODIFIERS, apply_look
from lipar_adapters.tiny.clips.scenes import PixelFrames, add_sensor_noise, make_scenes, render
from lipar_adapters.tiny.parts import load_vae
from lipar_adapters.tiny.recipe.training import Budget, Loop, seeded

FRAMES = 12
LATENT_NOISE = 0.08
"""Most noise on latents, in parts of their spread: errors as diffusion leaves them, which a decoder should bear."""
FASTEST = 5.0
"""Largest factor on the speed of objects, compared with the transformers' clips: real clips have quick limbs."""
CLEAN_LATENTS = 0.6
"""Share of the clips whose latents get no noise."""


def reconstruction_loss(predicted: PixelFrames, target: PixelFrames) -> Float[Tensor, ""]:
    """Squares and L1 of pixels, L1 of their gradients at three scales, and of what changes from frame to frame.

    Squares weigh most, since they hold on to what is hard: fine texture. Where the target stands still, a change
    between frames is flicker, which the eye finds at once.
    """
    target = target.float()
    error = predicted.float() - target
    still = (target[:, 1:] - target[:, :-1]).abs().amax(2, keepdim=True) < 2 / 255
    flicker = (error[:, 1:] - error[:, :-1]).abs() * (0.5 + 2.5 * still)
    loss = 0.5 * (error.square() + 1e-6).sqrt().mean() + 20 * error.square().mean() + flicker.mean()
    error = error.flatten(0, 1)
    for _ in range(3):
        loss = loss + 0.15 * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())
        error = F.avg_pool2d(error, 2)
    return loss + 0.3 * error.abs().mean()


def styled(clips: PixelFrames, rng: np.random.Generator) -> PixelFrames:
    """A third of a batch as it is, a third each in one of two random looks."""
    parts = list(clips.chunk(3))
    for index in range(1, len(parts)):
        modifier = str(rng.choice(list(MODIFIERS))) if rng.random() < 0.4 else None
        look = apply_look(parts[index].flatten(0, 1), str(rng.choice(list(LOOKS))), modifier)
        parts[index] = look.unflatten(0, parts[index].shape[:2])
    return torch.cat(parts)


def train_autoencoder(
    out: Path, library: Library, budget: Budget, seed: int = 0, resume: bool = False, batch: int = 48, size: int = 128,
    widths: tuple[int, int, int] = (32, 64, 96), stop_seconds: float = float("inf"),
    stop_steps: int | None = None, statistics_rounds: int = 8, start_from: Path | None = None,
    peak_rate: float = 2e-3, decoder_only: bool = False,
) -> TinyVideoAutoencoder:  # fmt: skip
    """Train within a budget and return the averaged model with its latent statistics set.

    Args:
        out: folder of the log and the checkpoint.
        library: pictures that clips are rendered from, on the device to train on.
        budget: minutes or steps.
        seed: of weights, clips and noise.
        resume: go on from the checkpoint in `out`.
        batch: clips per step.
        size: height and width of the clips in pixels.
        widths: features of a new model at 1/2, 1/4 and 1/8 of the pixel resolution.
        stop_seconds: leave after so much of this run, though the budget lasts longer.
        stop_steps: likewise, in steps.
        statistics_rounds: batches that the mean and deviation of latents are measured on.
        start_from: folder with a `vae` folder of the same shape to go on from.
        peak_rate: highest learning rate.
        decoder_only: leave the encoder and the statistics as they are, so that latents keep their meaning for
            transformers that were trained on them. Needs `start_from`.

    Raises:
        ValueError: `decoder_only` without `start_from`.
    """
    if decoder_only and start_from is None:
        raise ValueError("a decoder alone is trained for an encoder that exists: give start_from")
    device = library.device
    torch.manual_seed(seed)
    model = (TinyVideoAutoencoder(widths=widths) if start_from is None else load_vae(start_from)).to(device)
    model.train()
    cuda = device.type == "cuda"
    if cuda:
        model.to(memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
    loop = Loop(
        "autoencoder",
        out,
        {"decoder": model.decoder} if decoder_only else {"vae": model},
        budget,
        peak_rate=peak_rate,
        stop_seconds=stop_seconds,
        stop_steps=stop_steps,
    )
    if resume:
        loop.resume()
    ring: deque[Tensor] = deque(maxlen=8)
    reuse = 4

    def clips_of(round_number: int) -> Tensor:
        scenes = make_scenes(
            seed * 1_000_000 + round_number, batch, FRAMES, library, zoom=(0.22, 0.8), fastest=FASTEST
        )
        return render(scenes, library, size, size).half()

    def one_step(step: int, progress: float) -> dict[str, Tensor]:
        rounds = step // reuse
        if step % reuse == 0 or not ring:
            for number in range(max(0, rounds - 7) if not ring else rounds, rounds + 1):
                ring.append(clips_of(number))
        rng = np.random.default_rng([seed, step])
        generator = seeded(device, seed, step)
        clips = ring[int(rng.integers(len(ring)))].float()
        clips = clips[torch.from_numpy(rng.permutation(len(clips))).to(device)]
        clips = clips.flip(-1) if rng.random() < 0.5 else clips
        clips = clips.transpose(-1, -2) if rng.random() < 0.25 else clips
        target = styled(clips, rng)
        noisy = add_sensor_noise(target, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=cuda):
            with torch.set_grad_enabled(not decoder_only):
                latents, _ = model.encode(noisy)
            spread = latents.detach().float().std((0, 1, 3, 4), keepdim=True)
            draws = torch.rand(2, len(latents), 1, 1, 1, 1, generator=generator, device=device)
            strength = draws[0] * (draws[1] >= CLEAN_LATENTS) * LATENT_NOISE
            noise = torch.randn(latents.shape, generator=generator, device=device)
            decoded, _ = model.decode_unclamped(latents + strength * spread * noise)
        loss = reconstruction_loss(decoded, target)
        norm = loop.update(loss)
        mse = (decoded.detach().float().clamp(0, 1) - target).square().mean()
        return {"loss": loss.detach(), "psnr": -10 * mse.log10(), "norm": norm, "spread": spread.mean()}

    loop.run(one_step)
    loop.load_average()
    if not decoder_only:
        set_latent_statistics(model, library, seed, statistics_rounds)
    return model


@torch.no_grad()
def set_latent_statistics(
    model: TinyVideoAutoencoder,
    library: Library,
    seed: int,
    rounds: int = 8,
    batch: int = 24,
    size: int = 128,
) -> None:
    """Measure mean and spread per channel over clips in all looks, and keep them in the config."""
    rng = np.random.default_rng([seed, 99])
    latents = []
    for number in range(rounds):
        scenes = make_scenes(900_000_000 + number, batch, FRAMES, library, zoom=(0.25, 0.5))
        clips = styled(render(scenes, library, size, size), rng)
        latents.append(model.encoder(2 * clips - 1, None, clips.shape[1])[0].float())
    spread, mean = torch.std_mean(torch.cat(latents), dim=(0, 1, 3, 4))
    model.register_to_config(latents_mean=mean.tolist(), latents_std=spread.tolist())
    model.mean.copy_(mean.view(-1, 1, 1))
    model.std.copy_(spread.view(-1, 1, 1))
