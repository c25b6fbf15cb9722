"""`lipar compare`: pruned versus dense and versus random pruning, on real clips."""

from pathlib import Path

import click

from lipar.cli.loading import importing
from lipar.cli.number import SIDE, NumberType
from lipar.cli.options import (
    CLIP,
    ConfigChoice,
    config_options,
    debug_option,
    device_option,
    json_option,
    prompt_option,
    variant_option,
)
from lipar.files.owner import Outputs
from lipar.files.places import check_writable


@click.command()
@click.argument("clips", nargs=-1, required=True, type=CLIP)
@prompt_option
@config_options()
@variant_option("A variant to compare in addition to the config as it stands, e.g. noise=step-matched.")
@click.option("--no-random", is_flag=True, help="Leave out random pruning at the same rate.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write a page for each clip to this folder, with videos, masks and figures.",
)
@click.option(
    "--metrics",
    metavar="A,B,...",
    help="Figures of the page.  [default: psnr,ssim,vmaf,warp-error,flicker,border-error]",
)
@click.option(
    "--page-height",
    type=NumberType(SIDE),
    help="Scale the videos of the page to this height.  [default: as processed]",
)
@json_option("Also write the figures here, and continue from those that are already there.")
@device_option
@debug_option
def compare(
    clips: tuple[Path, ...],
    prompt: str,
    choice: ConfigChoice,
    variants: tuple[str, ...],
    no_random: bool,
    folder: Path | None,
    metrics: str | None,
    page_height: int | None,
    json_file: Path | None,
    device: str | None,
) -> None:
    """Edit CLIPS dense and pruned with one seed, and print how far they agree.

    Kept fraction and PSNR are those of the blocks after the first, which is always computed in full. The speed-up is
    that of denoising and clean pass, each block timed dense and pruned in turn: the median, lowest and highest over
    the blocks that have their whole context and prune anything. At a scene cut a block is computed in full; each cut
    that was found is listed as the pixel frame at which its block starts.

    With -o a folder gets one HTML file for each clip, which works without a network: two videos with a divider
    between them, the mask, the kept fraction of each frame, figures, times, configs and the command. A single clip's
    page is index.html; for several, index.html links to them.

    With --json or -o every row is written as soon as it is finished, and the same command continues from the rows in
    the file; a row whose clip, prompt, config, weights, device or versions changed is run again. With -o the record is
    in its folder, unless --json names another file.
    """
    if folder is None and (metrics is not None or page_height is not None):
        raise click.UsageError("--metrics and --page-height are about the page, so they need -o DIR")
    configs = {"as configured": choice.build()}
    for variant in variants:
        configs[variant] = choice.build(*variant.split(";"))
    if json_file is not None:
        json_file = check_writable(json_file, suffixes=(".json",))
    with importing():
        from lipar_lab.compare.report import Report
        from lipar_lab.compare.run import compare_clips

    report = None if folder is None else Report.planned(folder, clips, metrics, page_height)
    with Outputs() as outputs:
        if report is not None:
            json_file = json_file or report.folder.record
            report.folder.claim(outputs)
        if json_file is not None:
            outputs.claim(json_file)
        compare_clips(
            clips,
            prompt,
            configs,
            outputs,
            random=not no_random,
            json_file=json_file,
            device=device,
            report=report,
        )
