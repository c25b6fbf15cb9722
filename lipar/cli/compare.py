"""`lipar compare`: pruned beside dense and beside random pruning, on real clips."""

import json
import math
from pathlib import Path

import attrs
import click
import torch

from lipar.cli.edit import pick_device
from lipar.cli.host import plugin_host
from lipar.cli.output import say
from lipar.compare import Comparison, compare_clip
from lipar.compatibility import check_config
from lipar.config import build_config


@click.command()
@click.argument(
    "clips", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--prompt", required=True, help="What the result should look like.")
@click.option("--preset", metavar="NAME", help="Begin from a preset.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One value for all variants.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="KEY=VALUE[;KEY=VALUE]",
    help="A variant to compare beside the config as it stands, e.g. noise=step-matched.",
)
@click.option("--no-random", is_flag=True, help="Leave out random pruning at the same rate.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.option("--device", default=None, help="[default: cuda where there is one]")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def compare(
    clips: tuple[Path, ...],
    prompt: str,
    preset: str | None,
    settings: tuple[str, ...],
    variants: tuple[str, ...],
    no_random: bool,
    json_file: Path | None,
    device: str | None,
    debug: bool,
) -> None:
    """Edit CLIPS dense and pruned with one seed, and print how far they agree.

    Kept fraction and PSNR are of the blocks after the first, which is always whole. The speed-up is of those among
    them that prune anything: denoising and clean pass, each block timed dense and pruned in turn. At a scene cut a
    block is computed whole; the cuts that were found are listed by the pixel frame at which that block begins.
    """
    configs = {"as configured": build_config(preset=preset, settings=settings)}
    for variant in variants:
        configs[variant] = build_config(preset=preset, settings=[*settings, *variant.split(";")])
    host = plugin_host()
    adapters = [check_config(host, config) for config in configs.values()]
    model = adapters[0].load(pick_device(device), torch.float32)
    model.set_prompt(prompt)
    say("| clip | pruning | scene cuts | kept | speed-up | PSNR to dense |", f"{'| --- ' * 6}|")
    done: list[Comparison] = []
    for clip in clips:
        for row in compare_clip(model, clip, configs, host=host, random=not no_random):
            done.append(row)
            say(_row(row))
    if json_file is not None:
        figures = [
            attrs.asdict(row) | {"psnr": row.psnr if math.isfinite(row.psnr) else None} for row in done
        ]
        json_file.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _row(row: Comparison) -> str:
    near = f"{row.psnr:.1f} dB" if math.isfinite(row.psnr) else "equal"
    cuts = f"{len(row.scene_cuts)} (at {', '.join(map(str, row.scene_cuts))})" if row.scene_cuts else "none"
    return f"| {row.clip} | {row.variant} | {cuts} | {100 * row.kept_fraction:.0f} % | {row.speedup:.2f}x | {near} |"
