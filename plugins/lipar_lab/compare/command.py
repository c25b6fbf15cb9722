"""`lipar compare`: pruned beside dense and beside random pruning, on real clips."""

from pathlib import Path

import click

from lipar.cli.loading import importing
from lipar.config import build_config
from lipar.files.owner import Outputs
from lipar.files.places import check_writable


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
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also keep the figures here.")
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

    Kept fraction and PSNR are of the blocks after the first, which is always whole. The speed-up is of denoising and
    clean pass, each block timed dense and pruned in turn: the median, lowest and highest of the blocks that have their
    whole context and prune anything. At a scene cut a block is computed whole; the cuts that were found are listed by
    the pixel frame at which that block begins.

    With --json every row is kept as soon as it is finished, and the same command goes on from the rows that are there;
    one whose clip, prompt, config, weights, device or versions changed is run again.
    """
    configs = {"as configured": build_config(preset=preset, settings=settings)}
    for variant in variants:
        configs[variant] = build_config(preset=preset, settings=[*settings, *variant.split(";")])
    if json_file is not None:
        json_file = check_writable(json_file, suffixes=(".json",))
    with importing():
        from lipar_lab.compare.run import compare_clips

    with Outputs() as outputs:
        if json_file is not None:
            outputs.claim(json_file)
        compare_clips(
            clips, prompt, configs, outputs, random=not no_random, json_file=json_file, device=device
        )
