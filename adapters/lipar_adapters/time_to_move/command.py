"""`lipar ttm`: a clip that moves as a motion video says."""

import json
from pathlib import Path

import attrs
import click

from lipar import bounds
from lipar.bounds import Within
from lipar.cli.grouped import GroupedCommand
from lipar.cli.loading import importing, loading
from lipar.cli.number import CLIP_FRAMES, NumberType
from lipar.cli.options import DTYPE_NAMES, SizeType
from lipar.cli.output import say
from lipar.files.owner import Outputs
from lipar.files.places import check_writable

STEP_INDEX = Within(-1, 1000, "a step of the schedule, which has at most 1000")
GUIDANCE = Within(0, 100, "1 is the prompt alone; released models take 1 to 7")


@click.command(
    cls=GroupedCommand,
    groups={
        "Output": ["output", "compare", "sheet", "json_file"],
        "What is made": ["prompt", "negative_prompt", "size", "frames", "stride", "seed"],
        "The two clocks": ["steps", "tweak", "tstrong", "guidance", "released"],
        "What is computed": ["model", "dense", "config_file", "preset", "settings"],
        "Where and how": ["device", "dtype", "offload", "quiet", "debug"],
    },
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write the clip."
)
@click.option(
    "--compare",
    is_flag=True,
    help="Make it dense as well; write both side by side, dense on the left, and say how far they agree.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    metavar="SHEET.png",
    help="Also write a contact sheet: the animation, the dense clip where there is one, the pruned one.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.option("--prompt", help="What is to be seen.  [default: prompt.txt in FOLDER]")
@click.option("--negative-prompt", help="What is not.  [default: the model's own]")
@click.option(
    "--size", type=SizeType(), help="Of the clip.  [default: the model's area in the image's shape]"
)
@click.option(
    "--frames",
    type=NumberType(CLIP_FRAMES),
    help="Of the clip, 1 + 4n.  [default: the motion video's, at most the model's]",
)
@click.option(
    "--stride",
    type=NumberType(CLIP_FRAMES),
    default=1,
    show_default=True,
    help="Take every so many-th motion frame.",
)
@click.option("--seed", type=NumberType(bounds.SEED), default=0, show_default=True, help="Seed of the noise.")
@click.option("--steps", type=NumberType(bounds.SCHEDULE), help="Of the whole schedule.  [default: 50]")
@click.option(
    "--tweak",
    type=NumberType(STEP_INDEX),
    help="Step to begin at; higher: stiller outside the mask; -1: at 0 from pure noise.  [default: 3 of 50]",
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
    metavar="tiny|PATH",
    help="The bundled model, or a Wan image-to-video model in diffusers format.",
)
@click.option("--dense", is_flag=True, help="Compute every token.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML file; see docs/reference/config.md.",
)
@click.option("--preset", metavar="NAME", help="Begin from a preset.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One value, e.g. prune.tau_short=0.1."
)
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda where there is one]")
@click.option("--dtype", type=click.Choice(DTYPE_NAMES), help="[default: bfloat16 on cuda, else float32]")
@click.option("--offload", is_flag=True, help="Keep the model's parts on the CPU until they are needed.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
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
    seed: int,
    steps: int | None,
    tweak: int | None,
    tstrong: int | None,
    guidance: float | None,
    released: bool,
    model: str,
    dense: bool,
    config_file: Path | None,
    preset: str | None,
    settings: tuple[str, ...],
    device: str | None,
    dtype: str | None,
    offload: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Make a clip that begins with an image and moves as a crude animation of it says (Time-to-Move).

    FOLDER holds first_frame.png, mask.mp4 (white where the motion is prescribed), motion_signal.mp4 and prompt.txt.
    Tokens that repeat in the motion video are pruned, unless --dense is given.
    """
    if dense and compare:
        raise click.UsageError("--dense makes one clip and --compare two; leave one out")
    with importing(quiet=quiet):
        from lipar.cli.device import pick_device, pick_dtype
        from lipar.cli.host import plugin_host
        from lipar.video.contact_sheet import write_contact_sheet
        from lipar_adapters.time_to_move.motion import MotionRequest
        from lipar_adapters.time_to_move.motion_folder import MotionFolder
        from lipar_adapters.time_to_move.report import figures_of, summarise
        from lipar_adapters.time_to_move.run import MotionRun, adapter_of, config_of, write_clip

    found = MotionFolder.at(folder)
    text = prompt if prompt is not None else found.prompt()
    if not (text and text.strip()):
        raise click.UsageError(
            f"{folder} has no prompt.txt with words in it; say --prompt what is to be seen"
        )
    check_writable(output)
    for path, suffixes in ((json_file, (".json",)), (sheet, (".png", ".jpg"))):
        if path is not None:
            check_writable(path, suffixes=suffixes)
    host = plugin_host()
    config = config_of(host, config_file, preset, settings)
    adapter = adapter_of(host, {"model": model, "offload": offload})
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
        seed=seed,
        released=released,
    )
    with loading(f"the model {model}", quiet=quiet):
        loaded = adapter.load_motion(torch_device, pick_dtype(dtype, torch_device))
    run = MotionRun(loaded, host, config, quiet=quiet)
    scene = run.model.prepare(request)
    if compare:
        run.model.warm_up(scene)
    reference = run.make(scene, dense=True) if compare or dense else None
    clip = reference if dense and reference is not None else run.make(scene, dense=False)
    clips = [reference.pixels, clip.pixels] if compare and reference is not None else [clip.pixels]
    figures = figures_of(
        scene,
        clip,
        dense=reference if compare else None,
        folder=found.path.resolve().name,
        model=model,
        seed=seed,
    )
    with Outputs() as outputs:
        write_clip(output, clips, found.frame_rate() / stride, outputs)
        if sheet is not None:
            write_contact_sheet(outputs.claim(sheet.resolve()), [scene.motion, *clips])
        if json_file is not None:
            written = json.dumps(attrs.asdict(figures), indent=1) + "\n"
            outputs.claim(json_file.resolve()).write_text(written, "utf-8")
        outputs.publish()
    say(*summarise(figures, output, computed_all=dense))
