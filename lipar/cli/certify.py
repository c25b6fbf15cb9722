"""`lipar certify`: bounds on the attention error of a pruned run, beside the true error."""

from pathlib import Path

import click
import torch

from lipar.bounds import Within
from lipar.certify import AttentionCertifier, Certified
from lipar.cli.edit import pick_device
from lipar.cli.host import plugin_host
from lipar.cli.number import NumberType
from lipar.cli.output import say
from lipar.compare import encode_clip
from lipar.compatibility import check_config
from lipar.config import build_config
from lipar.scheduler import Scheduler


@click.command()
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--prompt", required=True, help="What the result should look like.")
@click.option("--preset", metavar="NAME", help="Begin from a preset.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One value, e.g. noise=kv-cache.")
@click.option(
    "--blocks",
    type=NumberType(Within(1, 10**6, "blocks of a clip")),
    help="Stop after so many blocks.  [default: all]",
)
@click.option("--device", default=None, help="[default: cuda where there is one]")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def certify(
    clip: Path,
    prompt: str,
    preset: str | None,
    settings: tuple[str, ...],
    blocks: int | None,
    device: str | None,
    debug: bool,
) -> None:
    """Run CLIP pruned and print, per denoise step and layer, the bound on its attention error beside the true one.

    All figures are Euclidean norms of one head's output: the largest over queries, heads and blocks, and for the
    looseness the median of bound over true error. See docs/laws.md.
    """
    config = build_config(preset=preset, settings=settings)
    host = plugin_host()
    model = check_config(host, config).load(pick_device(device), torch.float32)
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


def table(records: list[Certified]) -> list[str]:
    """The lines of a Markdown table, one row per denoise step and layer."""
    titles = [
        "step",
        "layer",
        "kept",
        "delta_k",
        "delta_v",
        "true error",
        "expected",
        "bound",
        "looseness",
        "holds",
    ]
    titles += ["estimate", "covers"]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for step, layer_idx in sorted({(record.step, record.layer_idx) for record in records}):
        rows = [record for record in records if (record.step, record.layer_idx) == (step, layer_idx)]
        worst = [
            f"{max(getattr(row, name) for row in rows):.3g}"
            for name in ("delta_k", "delta_v", "error", "expected", "bound")
        ]
        kept = sum(row.kept_fraction for row in rows) / len(rows)
        looseness = sorted(row.looseness for row in rows)[len(rows) // 2]
        holds = "yes" if all(row.holds for row in rows) else "NO"
        estimates = [row.estimate for row in rows if row.estimate is not None]
        covers = [row.estimate_covers for row in rows if row.estimate_covers is not None]
        guessed = [f"{max(estimates):.3g}", f"{100 * min(covers):.1f} %"] if estimates else ["-", "-"]
        cells = [step, layer_idx, f"{100 * kept:.0f} %", *worst, f"{looseness:.1f}", holds, *guessed]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines
