"""Calibrates tau_short and tau_long to the autoencoder's noise floor, and keeps them in the model's config.

A token's distance is the mean |difference| of its normalised latents at times t and t - 1. tau_short lies half way (as
a ratio) between what 99 % of the tokens of still, noisy scenes stay below and the median of moving tokens; tau_long is
twice that, the ratio of the paper's defaults (0.15 and 0.3, arXiv 2603.05811). Tokens that move less than tau_short are
pruned until they have drifted by tau_long; what that costs is measured in docs/laboratory/results.md.

    python -m lipar_adapters.tiny.recipe.calibrate --write
"""

import argparse
from pathlib import Path
from typing import Any

import click
import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.tiny.parts import WEIGHTS, load
from lipar_adapters.tiny.recipe.evaluate import held_back_clips
from lipar_adapters.tiny.recipe.export import write_config

PERCENTILES = (1, 10, 50, 90, 99)
MOVING_PIXELS = 0.04


def token_distances(latents: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b steps rows columns"]:
    """Mean |difference| per token of 2x2 latents to the frame before."""
    change = (latents[:, 1:] - latents[:, :-1]).abs()
    return reduce(change, "b t c (h p) (w q) -> b t h w", "mean", p=2, q=2)


def pixel_changes(clips: Float[Tensor, "b frames 3 height width"]) -> Float[Tensor, "b steps rows columns"]:
    """Mean |difference| of the 4x16x16 pixels of each token to those of the latent frame before."""
    groups = reduce(clips, "b (t f) c (h p) (w q) -> b t c f h w", "mean", f=4, p=16, q=16)
    return (groups[:, 1:] - groups[:, :-1]).abs().mean((2, 3))


@torch.no_grad()
def noise_floor(
    autoencoder: Any, clips: Float[Tensor, "b frames 3 height width"], noise: float = 0.01
) -> dict[str, Tensor]:
    """Distances of still tokens (a clip's first frame held, with sensor noise) and of moving ones, without the start.

    The first latent frame is left out: its memory is still empty, so that it differs from its successor in any scene.
    """
    generator = torch.Generator().manual_seed(0)

    def encode(frames: Tensor) -> Tensor:
        noisy = (frames + noise * torch.randn(frames.shape, generator=generator)).clamp(0, 1)
        return torch.cat([autoencoder.encode(clip[None])[0] for clip in noisy])[:, 1:]

    still = token_distances(encode(clips[:, :1].expand_as(clips)))
    moving = token_distances(encode(clips))[pixel_changes(clips)[:, 1:] > MOVING_PIXELS]
    return {"still": still.flatten(), "moving": moving}


def main() -> None:
    """Run the command: print the quantiles and thresholds; with `--write`, keep them in the config."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="keep the thresholds in model_config.json")
    args = parser.parse_args()
    clips = held_back_clips(args.clips, 20, 192, args.photos)
    found = noise_floor(load(folder=args.weights).autoencoder, clips)
    click.echo("tokens  " + " ".join(f"{p:>6}%" for p in PERCENTILES))
    for name, distances in found.items():
        click.echo(f"{name:7} " + " ".join(f"{distances.quantile(p / 100):7.3f}" for p in PERCENTILES))
    floor, ceiling = found["still"].quantile(0.99), found["moving"].quantile(0.50)
    tau_short = round(float((floor * ceiling).sqrt()), 3)
    below, above = (found["still"] < tau_short).float().mean(), (found["moving"] > tau_short).float().mean()
    click.echo(f"tau_short {tau_short}, tau_long {2 * tau_short:.3f}")
    click.echo(f"still tokens below tau_short {below:.3f}, moving ones above {above:.3f}")
    if args.write:
        write_config(args.weights, tau_short=tau_short, tau_long=round(2 * tau_short, 3))


if __name__ == "__main__":
    main()
