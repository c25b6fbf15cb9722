"""`lipar check`: whether a config can run, without loading a model."""

import click

from lipar.cli.loading import importing
from lipar.cli.options import ConfigChoice, config_options, debug_option
from lipar.cli.output import say
from lipar.config_tables import NO_PART


@click.command()
@config_options()
@debug_option
def check(choice: ConfigChoice) -> None:
    """Say whether a config can run: names, options, and whether the parts fit together and the model.

    No weights are read.
    """
    config = choice.build()
    with importing():
        from lipar.cli.host import plugin_host
        from lipar.plugin.compatibility import check_config

    check_config(plugin_host(), config)
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
