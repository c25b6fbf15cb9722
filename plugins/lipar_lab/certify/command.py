"""`lipar certify`: bounds on the attention error of a pruned run, and the true error."""

from pathlib import Path

import click

from lipar.bounds import Within
from lipar.cli.loading import importing, loading
from lipar.cli.number import NumberType
from lipar.cli.options import CLIP, ConfigChoice, config_options, debug_option, device_option, prompt_option
from lipar.cli.output import say


@click.command()
@click.argument("clip", type=CLIP)
@prompt_option
@config_options()
@click.option(
    "--blocks",
    type=NumberType(Within(1, 10**6, "blocks of a clip")),
    help="Stop after so many blocks.  [default: all]",
)
@device_option
@debug_option
def certify(clip: Path, prompt: str, choice: ConfigChoice, blocks: int | None, device: str | None) -> None:
    """Run CLIP pruned and print, per denoise step and layer, the bound on its attention error and the true error.

    All figures are Euclidean norms of one head's output: the largest over queries, heads and blocks, and for the
    looseness the median of bound over true error. See docs/explanation/laws.md.
    """
    config = choice.build()
    with importing():
        import torch

        from lipar.cli.host import plugin_host
        from lipar.editing.model import pick_device
        from lipar.plugin.compatibility import check_config
        from lipar.scheduler import Scheduler
        from lipar_lab.certify.run import AttentionCertifier, table
        from lipar_lab.compare.coding import encode_clip

        host = plugin_host()
        adapter = check_config(host, config)
    with loading(f"the model {config.adapter.name}"):
        model = adapter.load(pick_device(device), torch.float32)
    model.set_prompt(prompt)
    certifier = AttentionCertifier()
    host.manager.register(certifier)
    for _ in Scheduler(model, config, host=host).run(encode_clip(model, clip)[:blocks]):
        pass
    if not certifier.records:
        raise ValueError(
            "no block could be certified: none was pruned, or the recovery leaves pruned places absent; "
            "the certificate needs m-degree of full degree or naive-copy"
        )
    say(*table(certifier.records))
