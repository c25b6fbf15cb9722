"""One command trains the tiny model, on a CPU or a GPU, and exports what it has at the end.

    python -m lipar_adapters.tiny.recipe.train all --minutes 60 --out run
    python -m lipar_adapters.tiny.recipe.train transformer --minutes 30 --out run --resume
    python -m lipar_adapters.tiny.recipe.train bidirectional --minutes 10 --out run

A run is bounded by minutes or by steps, is logged in JSON lines, and goes on from its last checkpoint with `--resume`.
With a budget in steps, a run that was broken off and resumed ends with the same weights as one that was not.
"""

import argparse
from pathlib import Path

import torch

from lipar_adapters.tiny.clips.library import build_library
from lipar_adapters.tiny.parts import WEIGHTS, load_text, load_vae
from lipar_adapters.tiny.recipe.export import (
    export_bidirectional,
    export_text_and_transformer,
    export_vae,
)
from lipar_adapters.tiny.recipe.latent_pool import Grid
from lipar_adapters.tiny.recipe.train_autoencoder import train_autoencoder
from lipar_adapters.tiny.recipe.train_bidirectional import TRAIN_SHIFT as BIDIRECTIONAL_SHIFT
from lipar_adapters.tiny.recipe.train_bidirectional import grid_for, load_start, train_bidirectional
from lipar_adapters.tiny.recipe.train_transformer import HOME, PAIRED_FROM, TRAIN_SHIFT, train_transformer
from lipar_adapters.tiny.recipe.training import Budget


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("autoencoder", "transformer", "all", "bidirectional"))
    parser.add_argument("--minutes", type=float, help="training time of each model, earlier runs included")
    parser.add_argument("--steps", type=int, help="optimiser steps of each model, earlier runs included")
    parser.add_argument(
        "--stop-after", type=float, default=float("inf"), help="minutes after which this run saves and leaves"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--photos", type=Path, default=Path(".tiny_photos/pack.npz"), help="pack made by `photos`"
    )
    parser.add_argument("--textures", type=int, default=256)
    parser.add_argument("--shapes", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=48, help="clips per step of the autoencoder")
    parser.add_argument(
        "--tokens", type=int, default=32 * 256 * 9, help="latent tokens per step of a transformer"
    )
    parser.add_argument("--scenes", type=int, default=32, help="scenes rendered together for a transformer")
    parser.add_argument("--refresh", type=int, default=48, help="steps between newly rendered scenes")
    parser.add_argument("--compile", choices=("none", "layer"), default="none")
    parser.add_argument(
        "--start-from",
        type=Path,
        help="folder of exported weights to begin from; bidirectional: default the bundled ones, and where they have"
        " no sibling, layers of their causal transformer",
    )
    parser.add_argument(
        "--decoder-only",
        action="store_true",
        help="autoencoder: leave the encoder as it is, and so the latents of transformers that know them",
    )
    parser.add_argument(
        "--freeze-text",
        action="store_true",
        help="transformer: leave the text encoder as it is, which the bidirectional sibling shares",
    )
    parser.add_argument(
        "--shift",
        type=float,
        help=f"of the noise levels in training; default {TRAIN_SHIFT}, bidirectional {BIDIRECTIONAL_SHIFT}",
    )
    parser.add_argument(
        "--paired-from", type=float, default=PAIRED_FROM, help="sigma above which edits are paired"
    )
    parser.add_argument("--peak-rate", type=float, default=1.5e-3)
    parser.add_argument("--grid", type=int, nargs=2, help="rows and columns of tokens; default: several")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(arguments)


def check_start(args: argparse.Namespace) -> None:
    """Leave at once where a run would miss what it begins from."""
    start = args.start_from
    if start is not None and not start.is_dir():
        raise SystemExit(f"there is no folder {start} to start from")
    for option in ("decoder_only", "freeze_text"):
        if getattr(args, option) and start is None:
            raise SystemExit(
                f"--{option.replace('_', '-')} leaves trained weights as they are: give --start-from"
            )
    if args.what == "transformer" and start is None and not (args.out / "weights" / "vae").exists():
        raise SystemExit(
            f"a transformer needs an autoencoder: train one with --out {args.out}, or give --start-from"
        )


def main(arguments: list[str] | None = None) -> None:
    """Run the command: train, then export what there is at the end."""
    args = parse(arguments)
    if args.minutes is None and args.steps is None:
        raise SystemExit("give --minutes or --steps")
    check_start(args)
    torch.set_float32_matmul_precision("high")
    library = build_library(args.device, args.photos, args.textures, args.shapes, seed=args.seed)
    stop = args.stop_after * 60
    export = args.out / "weights"
    if args.what in ("autoencoder", "all"):
        vae = train_autoencoder(
            args.out,
            library,
            Budget(args.minutes, args.steps),
            args.seed,
            args.resume,
            args.batch,
            stop_seconds=stop,
            start_from=args.start_from,
            peak_rate=args.peak_rate,
            decoder_only=args.decoder_only,
        )
        export_vae(vae, export)
    if args.what in ("transformer", "all"):
        vae = load_vae(export if (export / "vae").exists() else args.start_from, torch.float32, args.device)
        transformer, text_encoder, tokenizer = train_transformer(
            args.out, vae, library, Budget(args.minutes, args.steps), args.seed, args.resume, args.tokens,
            args.compile, scenes_each=args.scenes, stop_seconds=stop, start_from=args.start_from,
            train_shift=args.shift or TRAIN_SHIFT, paired_from=args.paired_from, peak_rate=args.peak_rate,
            refresh=args.refresh, freeze_text=args.freeze_text,
            grids=(lambda progress, number: Grid(*args.grid)) if args.grid else None,
        )  # fmt: skip
        export_text_and_transformer(transformer, text_encoder, tokenizer, export)
    if args.what == "bidirectional":
        start = args.start_from or WEIGHTS
        tokenizer, text_encoder = load_text(start)
        held_back = build_library(args.device, args.photos, textures=32, shapes=64, held_back=True, seed=1)
        transformer = train_bidirectional(
            args.out, load_vae(start, torch.float32, args.device), text_encoder, tokenizer, load_start(start), library,
            held_back, Budget(args.minutes, args.steps), args.seed, args.resume, args.tokens, args.refresh,
            args.scenes, stop_seconds=stop, peak_rate=args.peak_rate,
            train_shift=args.shift or BIDIRECTIONAL_SHIFT, judged_grid=Grid(*args.grid) if args.grid else HOME,
            grids=(lambda progress, number: Grid(*args.grid)) if args.grid else grid_for,
        )  # fmt: skip
        export_bidirectional(transformer, export)


if __name__ == "__main__":
    main()
