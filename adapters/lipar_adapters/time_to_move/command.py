"""`lipar ttm`: a clip that moves as a motion video prescribes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from lipar import bounds
from lipar.bounds import Within
from lipar.cli.grouped import GroupedCommand
from lipar.cli.loading import importing, loading
from lipar.cli.number import CLIP_FRAMES, NumberType
from lipar.cli.options import (
    PATH,
    ConfigChoice,
    SizeType,
    config_options,
    debug_option,
    dense_option,
    device_option,
    dtype_option,
    json_option,
    model_dir_option,
    quiet_option,
    seed_option,
)
from lipar.cli.output import say
from lipar.files.places import check_writable

if TYPE_CHECKING:
    from lipar_adapters.time_to_move.motion_folder import MotionFolder

STEP_INDEX = Within(-1, 1000, "a step of the schedule, which has at most 1000")
_FROM_CATALOGUE = "catalogue"
"""The value of `--taehv` without a file."""
GUIDANCE = Within(0, 100, "1 is the prompt alone; released models take 1 to 7")


@click.command(
    cls=GroupedCommand,
    groups={
        "Output": ["output", "compare", "sheet", "json_file"],
        "What is made": ["prompt", "negative_prompt", "size", "frames", "stride", "seed"],
        "The two clocks": ["steps", "tweak", "tstrong", "guidance", "released"],
        "What is computed": ["model", "model_dir", "taehv", "dense", "config_file", "preset", "settings"],
        "Where and how": ["device", "dtype", "offload", "quiet", "debug"],
    },
)
@click.argument("folder", type=PATH, metavar="FOLDER")
@click.option("-o", "--output", required=True, type=PATH, help="Where to write the clip.")
@click.option(
    "--compare",
    is_flag=True,
    help="Make it dense as well; write both side by side, dense on the left, and say how far they agree.",
)
@click.option(
    "--sheet",
    type=PATH,
    metavar="SHEET.png",
    help="Also write a contact sheet: the animation, the dense clip if there is one, the pruned one.",
)
@json_option("Also write the figures here.")
@click.option("--prompt", help="What the clip should show.  [default: prompt.txt in FOLDER]")
@click.option("--negative-prompt", help="What it should not show.  [default: the model's own]")
@click.option(
    "--size", type=SizeType(), help="Size of the clip.  [default: the model's area in the image's shape]"
)
@click.option(
    "--frames",
    type=NumberType(CLIP_FRAMES),
    help="Frames of the clip, 1 + 4n.  [default: the motion video's, at most the model's]",
)
@click.option(
    "--stride",
    type=NumberType(CLIP_FRAMES),
    default=1,
    show_default=True,
    help="Take every so many-th motion frame.",
)
@seed_option
@click.option("--steps", type=NumberType(bounds.SCHEDULE), help="Steps of the whole schedule.  [default: 50]")
@click.option(
    "--tweak",
    type=NumberType(STEP_INDEX),
    help="Step to start at; higher: less motion outside the mask; -1: at 0 from pure noise.  [default: 3 of 50]",
)
@click.option(
    "--tstrong",
    type=NumberType(STEP_INDEX),
    help="Step that frees the masked region; higher: more rigid.  [default: 6 of 50]",
)
@click.option(
    "--guidance",
    type=NumberType(GUIDANCE, float),
    help="Scale of classifier-free guidance.  [default: the model's own]",
)
@click.option("--released", is_flag=True, help="As TTM's released code, where lipar differs.")
@click.option(
    "--model",
    default="tiny",
    show_default=True,
    metavar="tiny|NAME|PATH",
    help="The bundled model, or a Wan image-to-video model: by its name in `lipar models`, or a diffusers folder.",
)
@model_dir_option
@click.option(
    "--taehv",
    is_flag=False,
    flag_value=_FROM_CATALOGUE,
    metavar="[FILE.pth]",
    help="TAEHV in place of the autoencoder of a Wan model: faster, at some cost of quality. Without a file, the one "
    "of `lipar models` is taken.",
)
@dense_option
@config_options(model=False)
@device_option
@dtype_option
@click.option("--offload", is_flag=True, help="Keep the model's parts on the CPU until they are needed.")
@quiet_option
@debug_option
def ttm(
    folder: Path,
    output: Path,
    compare: bool,
    sheet: Path | None,
    json_file: Path | None,
    prompt: str | None,
    negative_prompt: str | None,
    size: tuple[int, int] | None,
    frames: int | None,
    stride: int,
    seed: int | None,
    steps: int | None,
    tweak: int | None,
    tstrong: int | None,
    guidance: float | None,
    released: bool,
    model: str,
    model_dir: Path | None,
    taehv: str | None,
    dense: bool,
    choice: ConfigChoice,
    device: str | None,
    dtype: str | None,
    offload: bool,
    quiet: bool,
) -> None:
    """Make a clip that starts with an image and moves as a rough animation of it prescribes (Time-to-Move).

    FOLDER contains first_frame.png, mask.mp4 (white where the motion is prescribed), motion_signal.mp4 and prompt.txt.
    Tokens that repeat in the motion video are pruned, unless --dense is given.
    """
    if dense and compare:
        raise click.UsageError("--dense makes one clip and --compare two; leave one out")
    with importing(quiet=quiet):
        from lipar.cli.host import plugin_host
        from lipar.editing.model import pick_device, pick_dtype
        from lipar_adapters.time_to_move.motion import MotionRequest
        from lipar_adapters.time_to_move.motion_folder import MotionFolder
        from lipar_adapters.time_to_move.report import figures_of, summarise
        from lipar_adapters.time_to_move.run import MotionRun, adapter_of, config_of, make_clips, write_files

    found = MotionFolder.at(folder)
    text = _prompt(prompt, found, folder)
    _check_paths(output, sheet=sheet, json_file=json_file)
    host = plugin_host()
    config = config_of(host, choice)
    options: dict[str, Any] = {} if model_dir is None else {"model_dir": str(model_dir)}
    if taehv is not None:
        options |= {"autoencoder": "taehv", **({} if taehv == _FROM_CATALOGUE else {"taehv": taehv})}
    adapter = adapter_of(host, {"model": model, "offload": offload, **options})
    torch_device = pick_device(device)
    limit = None if frames is None else (frames - 1) * stride + 1
    request = MotionRequest(
        first_frame=found.first_frame(),
        motion=found.motion(limit)[::stride],
        mask=found.mask(limit)[::stride],
        prompt=text,
        negative_prompt=negative_prompt,
        size=size,
        frames=frames,
        steps=steps,
        tweak_index=tweak,
        tstrong_index=tstrong,
        guidance_scale=guidance,
        seed=seed or 0,
        released=released,
    )
    with loading(f"the model {model}", quiet=quiet):
        loaded = adapter.load_motion(torch_device, pick_dtype(dtype, torch_device))
    run = MotionRun(loaded, host, config, quiet=quiet)
    scene = run.model.prepare(request)
    clip, reference = make_clips(run, scene, dense=dense, compare=compare)
    figures = figures_of(
        scene, clip, dense=reference, folder=found.path.resolve().name, model=model, seed=seed or 0
    )
    write_files(
        [each.pixels for each in (reference, clip) if each is not None],
        found.frame_rate() / stride,
        output,
        sheet=None if sheet is None else (sheet, scene.motion),
        figures=None
        if json_file is None
        else (json_file, json.dumps(attrs.asdict(figures), indent=1) + "\n"),
    )
    say(*summarise(figures, output, computed_all=dense))


def _prompt(prompt: str | None, found: "MotionFolder", folder: Path) -> str:
    text = prompt if prompt is not None else found.prompt()
    if not (text and text.strip()):
        raise click.UsageError(
            f"{folder} has no prompt.txt with words in it; say with --prompt what the clip should show"
        )
    return text


def _check_paths(output: Path, *, sheet: Path | None, json_file: Path | None) -> None:
    """Refuse what cannot be written before anything is loaded."""
    check_writable(output)
    for path, suffixes in ((json_file, (".json",)), (sheet, (".png", ".jpg"))):
        if path is not None:
            check_writable(path, suffixes=suffixes)
