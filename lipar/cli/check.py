"""`lipar check`: whether a config can run, and what memory it takes, without loading a model."""

from typing import TYPE_CHECKING

import click

from lipar.cli.loading import importing, loading
from lipar.cli.options import (
    ConfigChoice,
    SizeType,
    config_options,
    debug_option,
    dense_option,
    device_option,
    dtype_option,
)
from lipar.cli.output import say
from lipar.config_tables import NO_PART

if TYPE_CHECKING:
    from lipar.memory.needs import MemoryRun
    from lipar.protocols import StreamingAdapter


@click.command()
@config_options()
@click.option(
    "--memory", is_flag=True, help="Also print what a run needs, what is free, and what saves how much."
)
@click.option("--resolution", type=SizeType(), help="With --memory: the size.  [default: the model's own]")
@device_option
@dtype_option
@dense_option
@debug_option
def check(
    choice: ConfigChoice,
    memory: bool,
    resolution: tuple[int, int] | None,
    device: str | None,
    dtype: str | None,
    dense: bool,
) -> None:
    """Say whether a config can run: names, options, and whether the parts fit together and the model.

    No weights are read. With --memory the exit code is 1 where the run will probably not fit.
    """
    config = choice.build()
    with importing():
        from lipar.cli.host import plugin_host
        from lipar.editing.model import pick_device, pick_dtype
        from lipar.memory.needs import MemoryRun
        from lipar.plugin.compatibility import check_config

    adapter = check_config(plugin_host(), config, dense=dense)
    refiners = ", ".join(refiner.name for refiner in config.refiners)
    saving = "".join(
        f"; {kind} {part.name}"
        for kind, part in (("merging", config.merging), ("reuse", config.reuse))
        if part.name != NO_PART
    )
    say(
        f"can run on {config.adapter.name}: criterion {config.criterion.name}; refiners {refiners}; "
        f"recovery {config.recovery.name}; noise {config.noise.name}; restorer {config.restorer.name}{saving}"
    )
    if memory:
        place = pick_device(device)
        run = MemoryRun(
            config=config, device=place, dtype=pick_dtype(dtype, place), resolution=resolution, dense=dense
        )
        _print_memory(adapter, run, config.adapter.name)


def _print_memory(adapter: "StreamingAdapter", run: "MemoryRun", name: str) -> None:
    from lipar.memory.report import table
    from lipar.memory.switches import estimate_memory

    with loading("what the run needs"):
        estimate = estimate_memory(adapter, run, with_switches=True)
    if estimate is None:
        say(f"the adapter {name} does not know what memory it takes")
        return
    say("", *table(estimate))
    if not estimate.fits:
        raise click.exceptions.Exit(1)
