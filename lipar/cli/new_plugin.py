"""`lipar new-plugin`: writes a distribution to start from."""

from pathlib import Path

import click

from lipar.cli.loading import importing
from lipar.cli.options import debug_option
from lipar.cli.output import say
from lipar.plugin.skeleton import skeleton


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--in",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where its folder is made.  [default: the current folder]",
)
@click.option(
    "--adapter",
    is_flag=True,
    help="A family of transformers for lipar.enable, with a toy, instead of a criterion and a recovery.",
)
@debug_option
def new_plugin(name: str, parent: Path, adapter: bool) -> None:
    """Write a plugin to start from: a distribution NAME with a criterion, a recovery and their tests.

    Its folder is called lipar-NAME and must not exist yet.
    """
    with importing():
        from lipar.cli.host import plugin_host

    files, short = skeleton(name, adapter=adapter), name.removeprefix("lipar-")
    taken = plugin_host().registries
    offered = [("target", short)] if adapter else [("criterion", short), ("recovery", f"{short}-copies")]
    for kind, part in offered:
        if part in taken[kind]:
            raise ValueError(
                f"{taken[kind][part].owner} already offers a {kind} {part!r}; choose another name"
            )
    folder = parent / f"lipar-{short}"
    if folder.exists():
        raise FileExistsError(f"{folder} already exists; choose another name, or --in another folder")
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    say(f"{folder}: {', '.join(files)}")
    say(f'next: cd {folder} && pip install -e ".[test]" && pytest')
