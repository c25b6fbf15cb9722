"""`lipar batch`: edit many clips, on one machine or many."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lipar.batch.manifest import SUFFIXES, Line, is_manifest, read_manifest
from lipar.batch.places import check_folder, make_folders
from lipar.batch.planning import Planning
from lipar.batch.rows import ClipRow
from lipar.bounds import Within
from lipar.cli.edit_checks import schedule_of
from lipar.cli.grouped import GroupedCommand
from lipar.cli.loading import importing
from lipar.cli.number import NumberType
from lipar.cli.options import (
    PATH,
    ConfigChoice,
    codec_option,
    config_options,
    debug_option,
    dense_option,
    device_option,
    dtype_option,
    engine_option,
    prompts_option,
    quality_option,
    quiet_option,
    resolution_option,
    seed_option,
    size_option,
    strength_option,
)
from lipar.config import Config
from lipar.prompts import PromptSchedule
from lipar.video.encoding import Encoding
from lipar.video.errors import VideoError
from lipar.video.sources.clips import several_clips
from lipar.video.sources.names import is_pattern

if TYPE_CHECKING:
    from lipar.batch.on_ray import Pool
    from lipar.plugin.host import PluginHost

WORKERS = Within(1, 10**4, "processes, each with a model of its own")
GPUS = Within(0, 64, "GPUs of one machine; less than 1 shares one between workers")


@click.command(
    cls=GroupedCommand,
    groups={
        "Clips": ["output", "prompts", "seed", "retry_failed"],
        "Workers": ["workers", "gpus_per_worker", "split", "address", "device", "dtype"],
        "What is computed": ["model", "model_dir", "config_file", "preset", "settings", "strength", "dense"],
        "How": ["resolution", "size", "codec", "quality", "engine"],
        "Watching": ["metrics", "quiet", "debug"],
    },
)
@click.argument("sources", nargs=-1, required=True, type=PATH, metavar="MANIFEST|CLIPS...")
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder of the results and the report.")
@prompts_option(required=False)
@seed_option
@click.option(
    "--retry-failed", is_flag=True, help="Try clips again that failed, and of which nothing changed."
)
@click.option(
    "--workers",
    type=NumberType(WORKERS),
    help="Processes that edit clips; more than one needs Ray.  [default: one for each GPU, else 1]",
)
@click.option(
    "--gpus-per-worker",
    type=NumberType(GPUS, float),
    help="GPUs that Ray gives each worker, e.g. 0.5.  [default: 1 where there are any]",
)
@click.option(
    "--split",
    type=click.Choice(["scenes"]),
    help="Edit a clip in pieces that begin at its scene cuts, each on any worker.",
)
@click.option("--address", metavar="HOST:PORT", help="A cluster of Ray; `auto` is the one of this machine.")
@config_options()
@strength_option
@dense_option
@resolution_option
@size_option
@codec_option
@quality_option
@device_option
@dtype_option
@engine_option
@click.option("--metrics", help="Figures to measure of every result, with commas, e.g. psnr,flicker.")
@quiet_option
@debug_option
def batch(
    sources: tuple[Path, ...],
    output: str,
    prompts: tuple[str, ...],
    seed: int | None,
    retry_failed: bool,
    workers: int | None,
    gpus_per_worker: float | None,
    split: str | None,
    address: str | None,
    choice: ConfigChoice,
    strength: float | None,
    dense: bool,
    resolution: tuple[int, int] | None,
    size: str,
    codec: str | None,
    quality: str | None,
    device: str | None,
    dtype: str | None,
    engine: str | None,
    metrics: str | None,
    quiet: bool,
) -> None:
    """Edit many clips, and go on where an earlier run ended.

    MANIFEST is a .csv, .jsonl or .parquet with the columns clip, prompt, seed and output, of which only the first is
    required, a column `set` with settings, and one for each key of the config that differs from clip to clip. Or CLIPS
    are a folder, a pattern in quotes or files, and --prompt holds for all of them.

    Each result appears in -o when it is complete. A hidden record beside it says of what it was made: the same command
    skips what is finished and tells what failed. At the end there is a report in -o: batch.csv, batch.parquet and
    batch.html.
    """
    schedule = schedule_of(prompts) if prompts else None
    folder = check_folder(output)
    encoding = Encoding.of(codec, quality)
    lines, clips = _inputs(sources, schedule)
    named = {"strength": strength, "seed": seed, "run": None if engine is None else {"engine": engine}}
    given = [{key: value} for key, value in named.items() if value is not None]
    choice.build(*given)  # a mistake on the command line is no mistake of a manifest
    with importing(quiet=quiet):
        from lipar.batch.on_ray import Pool
        from lipar.batch.recipe import Recipe
        from lipar.cli.batch_run import run_batch
        from lipar.cli.host import plugin_host
        from lipar.cli.table import no_plugins
        from lipar.events import EditOptions
        from lipar.metrics.table import check_available
        from lipar.video.encoders import check_encoder

        check_encoder(encoding)
        figures = tuple(dict.fromkeys(name.strip() for name in (metrics or "").split(",") if name.strip()))
        check_available(figures)
        host = plugin_host()
        planning = Planning(
            folder=folder,
            encoding=encoding,
            prompts=schedule,
            build=lambda settings: choice.build(*given, *settings),
            check=lambda config: _check(
                host, config, dense=dense, device=device, elsewhere=address is not None
            ),
        )
        rows = planning.of_clips(clips) if lines is None else planning.of_manifest(lines, sources[0].parent)
        options = EditOptions(
            prompt="",
            output=folder,
            dense=dense,
            resolution=resolution,
            keep_source_size=size == "source",
            encoding=encoding,
            memory_checked=True,
        )
        recipe = Recipe(
            options=options,
            device=device,
            dtype=dtype,
            metrics=figures,
            retry_failed=retry_failed,
            split=split is not None,
            own_plugins_only=no_plugins(click.get_current_context()),
        )
    pool = _pool(Pool(workers=workers, gpus_per_worker=gpus_per_worker, address=address), recipe.device)
    make_folders(folder, [row.output for row in rows])
    run_batch(recipe, by_model(rows), folder, pool, host=host, quiet=quiet)


def _inputs(sources: Sequence[Path], schedule: PromptSchedule | None) -> tuple[list[Line] | None, list[Path]]:
    """The lines of a manifest, or None and the clips.

    Raises:
        UsageError: there is no prompt for clips, or a manifest among several inputs.
        ManifestError: a manifest is wrong.
        VideoError: a folder or a pattern has no clip.
    """
    manifests = [path for path in sources if is_manifest(path)]
    if manifests and len(sources) > 1:
        raise click.UsageError(f"{manifests[0]} is a manifest, which stands alone; got {len(sources)} inputs")
    if manifests:
        return read_manifest(sources[0]), []
    if schedule is None:
        raise click.UsageError(
            f"clips without a manifest ({', '.join(SUFFIXES)}) have one prompt; give --prompt"
        )
    single = len(sources) == 1 and not sources[0].is_dir() and not is_pattern(sources[0])
    found = list(sources) if single else several_clips(sources)
    if not found:
        raise VideoError(f"{sources[0]} is a folder of pictures, which is one clip; use `lipar edit`")
    return None, found


def _check(host: "PluginHost", config: Config, *, dense: bool, device: str | None, elsewhere: bool) -> None:
    """Refuse a config that cannot run here; of a cluster's devices nothing is known."""
    from lipar.editing.model import pick_device
    from lipar.engines.engine import check_device
    from lipar.plugin.compatibility import check_config

    adapter = check_config(host, config, dense=dense)
    if not elsewhere:
        check_device(config.run.engine, pick_device(device), adapter.why_eager())


def _pool(pool: "Pool", device: str | None) -> "Pool | None":
    """The workers of Ray that are wanted; None: one in this process.

    Raises:
        ModuleNotFoundError: Ray is wanted, and is not installed.
    """
    import attrs

    from lipar.batch.on_ray import MISSING, has_ray
    from lipar.editing.model import pick_device

    wanted = pool.address is not None or (pool.workers or 1) > 1 or pool.gpus_per_worker is not None
    if wanted and not has_ray():
        option = "--address" if pool.address else "--gpus-per-worker" if (pool.workers or 1) == 1 else ""
        raise ModuleNotFoundError(f"{option or f'--workers {pool.workers}'} {MISSING}")
    if pool.workers is None and not wanted and has_ray() and pick_device(device).type == "cuda":
        import torch

        pool = attrs.evolve(pool, workers=1 if device and ":" in device else torch.cuda.device_count())
        wanted = (pool.workers or 1) > 1
    return pool if wanted else None


def by_model(rows: Sequence[ClipRow]) -> list[ClipRow]:
    """Rows of one model together, since a worker has one loaded at a time; otherwise as they were.

    Args:
        rows: the clips.
    """
    order = {repr(row.config.adapter): index for index, row in reversed(list(enumerate(rows)))}
    return sorted(rows, key=lambda row: order[repr(row.config.adapter)])
