"""`lipar analyze`: how redundant latents are, and how many of them a decoder lets one replace."""

from pathlib import Path

import click

from lipar.bounds import shown
from lipar.cli.loading import importing
from lipar.cli.number import CLIP_FRAMES, NumbersType, NumberType
from lipar.cli.options import (
    CLIP,
    PATH,
    ConfigChoice,
    SizeType,
    config_options,
    debug_option,
    device_option,
    quiet_option,
)
from lipar.cli.output import complain, say
from lipar.messages import counted

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


class BoundType(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """`metric=value`, such as `vmaf=95`."""

    name = "METRIC=VALUE"

    def convert(
        self, value: str | tuple[str, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Read the text; fails where it has no `=` or no number."""
        if isinstance(value, tuple):
            return value
        metric, _, number = value.partition("=")
        try:
            return metric.strip(), float(number)
        except ValueError:
            self.fail(f"{shown(value)} is no bound; write METRIC=VALUE, for instance vmaf=95", param, ctx)


@click.command()
@click.argument("clips", nargs=-1, required=True, type=CLIP)
@click.option("-o", "--output", "folder", required=True, type=PATH, help="Folder for everything written.")
@config_options()
@click.option("--taef2", type=FOLDER, help="Folder of TAEF2's two files, instead of a model's autoencoder.")
@click.option("--size", type=SizeType(), help="Size to process at.  [default: near the model's own]")
@click.option(
    "--frames", type=NumberType(CLIP_FRAMES), default=80, show_default=True, help="Frames of a clip at most."
)
@click.option("--thetas", type=NumbersType(0, 1000), help="Changes below which patches are replaced.")
@click.option("--metrics", "names", help="With commas.  [default: psnr,ms-ssim,vmaf,vmaf-neg, and lpips]")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    type=BoundType(),
    help="How similar the result must stay, e.g. vmaf=95; see docs/laboratory/analyze.md for the defaults.",
)
@click.option("--lpips", "lpips_backbone", type=CLIP, help="State dict of torchvision's AlexNet, for LPIPS.")
@click.option("--lpips-heads", type=CLIP, help="LPIPS' alex.pth.  [default: the copy in torchmetrics]")
@device_option
@quiet_option
@debug_option
def analyze(
    clips: tuple[Path, ...],
    folder: Path,
    choice: ConfigChoice,
    taef2: Path | None,
    size: tuple[int, int] | None,
    frames: int,
    thetas: tuple[float, ...] | None,
    names: str | None,
    bounds: tuple[tuple[str, float], ...],
    lpips_backbone: Path | None,
    lpips_heads: Path | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Measure how redundant the latents of CLIPS are, by the two experiments of the paper.

    First, how far the changes of pixel patches and of their latent patches correlate. Second, how similar the decoded
    clip stays when latent patches that change less than theta are replaced by those before them, and the largest
    fraction that can be replaced under each bound.

    The folder gets tables, plots, a map of each clip and report.html. A clip that is finished there is not analysed
    again, unless its file, the weights or an option changed.
    """
    if taef2 is not None and choice.given:
        raise click.UsageError(
            "--taef2 takes the place of a model; leave out --model, --config, --preset and --set"
        )
    if lpips_heads is not None and lpips_backbone is None:
        raise click.UsageError("--lpips-heads needs --lpips, the state dict of AlexNet")
    with importing(quiet=quiet):
        from lipar_lab.analyze.run import run_analysis
        from lipar_lab.analyze.setup import Request, make_analysis

    request = Request(
        choice=choice,
        taef2=taef2,
        size=size,
        frames=frames,
        thetas=thetas,
        metrics=None if names is None else tuple(name.strip() for name in names.split(",")),
        bounds=dict(bounds),
        lpips=None if lpips_backbone is None else (lpips_backbone, lpips_heads),
        device=device,
    )
    outcome = run_analysis(make_analysis(request, quiet=quiet), clips, folder, quiet=quiet)
    say(*outcome.lines, "")
    before = f", {outcome.found} of them finished before" if outcome.found else ""
    say(f"{counted(outcome.clips, 'clip')}{before}: {folder / 'report.html'}, {folder / 'results.json'}")
    if outcome.failed:
        complain(f"{counted(len(outcome.failed), 'clip')} left out", fg="yellow")
