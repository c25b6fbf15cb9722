"""`lipar check`: whether a config can run, without loading a model."""

from pathlib import Path

import click

from lipar.cli.loading import importing
from lipar.cli.output import say
from lipar.config import build_config, presets


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file.")
@click.option("--preset", metavar="NAME", help=f"Begin from a preset: {', '.join(presets())}.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One value.")
@click.option("--model", metavar="NAME", help="Adapter to run on.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def check(
    config_file: Path | None, preset: str | None, settings: tuple[str, ...], model: str | None, debug: bool
) -> None:
    """Say whether a config can run: names, options, and whether the parts fit together and the model.

    No weights are read.
    """
    chosen = [] if model is None else [{"adapter": model}]
    config = build_config(preset=preset, file=config_file, settings=[*chosen, *settings])
    with importing():
        from lipar.cli.host import plugin_host
        from lipar.plugin.compatibility import check_config

    check_config(plugin_host(), config)
    refiners = ", ".join(refiner.name for refiner in config.refiners)
    say(
        f"can run on {config.adapter.name}: criterion {config.criterion.name}; refiners {refiners}; "
        f"recovery {config.recovery.name}; noise {config.noise.name}; restorer {config.restorer.name}"
    )
