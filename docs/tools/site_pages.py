"""Pages of the site that are made from the code: a hook of mkdocs, named in mkdocs.yml.

Commands and parts are read from the running program, the API from the docstrings of every module of every package
that the wheel holds, so that moving a module needs no change here.
"""

import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import lipar
from lipar.cli import cli

ROOT = Path(__file__).parents[2]
API = "reference/api"
TITLES = {
    "criterion": "Criteria",
    "refiner": "Refiners",
    "recovery": "Recoveries",
    "noise": "Noise sources",
    "restorer": "Restorers",
    "merging": "Mergings",
    "reuse": "Reuses",
    "adapter": "Adapters",
    "target": "Targets",
}
CHANGES = {"feature": "New", "fix": "Fixed", "doc": "Documentation"}


def packages() -> list[Path]:
    """Folders of the packages that the wheel holds."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = metadata["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return [ROOT / name for name in listed if (ROOT / name).is_dir()]


def modules() -> list[str]:
    """Dotted names of all public modules, each package before what it holds."""
    found = []
    for package in packages():
        for path in package.rglob("*.py"):
            parts = path.relative_to(package.parent).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                found.append(".".join(parts))
    return sorted(found)


def api_nav(names: list[str]) -> list[Any]:
    """The modules as a tree for the navigation: a module alone, or a package with its modules below it."""
    tree: dict[str, Any] = {}
    for name in names:
        branch = tree
        for part in name.split("."):
            branch = branch.setdefault(part, {})

    def entries(branch: dict[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
        for part, below in branch.items():
            name = f"{prefix}{part}"
            page = f"{API}/{name}.md"
            yield {part: [{name: page}, *entries(below, f"{name}.")] if below else page}

    return list(entries(tree, ""))


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in [head, *rows]]
    return "\n".join(f"| {line} |" for line in [lines[0], " | ".join(["---"] * len(head)), *lines[1:]])


def commands() -> str:
    """Every command with its arguments and options, as its own help gives them."""
    text = ["# Commands", "This page is generated from the program; `lipar COMMAND --help` prints the same."]

    def add(command: click.Command, name: str, above: click.Context | None) -> None:
        context = click.Context(
            command, above, info_name=name.rpartition(" ")[2], help_option_names=["-h", "--help"]
        )
        text.append(f"## {name}")
        text.append(inspect.cleandoc(command.help or "").replace("\b\n", "").partition("\f")[0])
        usage = " ".join(command.collect_usage_pieces(context))
        text.append(f"```text\n{name} {usage}\n```")
        records = [param.get_help_record(context) for param in command.get_params(context)]
        # the usage line has the arguments; one that has no words of its own needs no row
        rows = [(f"`{n}`", words) for n, words in filter(None, records) if words or n.startswith("-")]
        text.append(table(("option", "meaning"), rows))
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None, inner
                add(found, f"{name} {inner}", context)

    add(cli, "lipar", None)
    return "\n\n".join(text) + "\n"


def type_name(annotation: Any) -> str:
    """A type as one writes it, without the modules in front."""
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"\b[a-z_]+(\.[a-z_]+)*\.(?=[A-Z])", "", name)


def default(field: "attrs.Attribute[Any]") -> str:
    """A default as one writes it."""
    if field.default is attrs.NOTHING:
        return "required"
    return "" if isinstance(field.default, attrs.Factory) else f"`{field.default!r}`"  # type: ignore[arg-type]


def parts() -> str:
    """Every part that comes with lipar: what it does, its options, and its class."""
    text = [
        "# Parts",
        "This page is generated from the registered parts; `lipar strategies` prints the same list, with the parts of "
        "installed plugins in it. Set an option with `--set kind.option=value` or in a [config](config.md).",
    ]
    for kind, registry in lipar.load_plugins().registries.items():
        text.append(f"## {TITLES.get(kind, kind)}")
        for part in registry:
            if part.owner.split()[0] != "lipar":
                continue
            cls = part.part
            text += [f"### {part.name} {{ #{kind}-{part.name} }}", part.summary]
            rows = [(f"`{f.alias or f.name}`", f"`{type_name(f.type)}`", default(f)) for f in part.options]
            if rows:
                text.append(table(("option", "type", "default"), rows))
            text.append(
                f"Class: [`{cls.__module__}.{cls.__qualname__}`][{cls.__module__}.{cls.__qualname__}]"
            )
    return "\n\n".join(text) + "\n"


def front_page() -> str:
    """What `import lipar` gives: functions, then classes. Each is read where it is defined.

    A function may have the name of a submodule, and griffe would show the module in its place.
    """
    shown = [getattr(lipar, name) for name in lipar.__all__]
    shown.sort(key=lambda each: isinstance(each, type))
    options = "    options:\n      heading_level: 2\n      show_root_full_path: false\n      skip_local_inventory: true"
    names = [f"::: {each.__module__}.{each.__qualname__}\n{options}" for each in shown]
    return "\n\n".join(["# lipar", lipar.__doc__ or "", *names]) + "\n"


def changes() -> str:
    """The notes of the changelog's folder, by kind."""
    found: dict[str, list[str]] = {kind: [] for kind in CHANGES}
    for path in sorted((ROOT / "docs" / "changelog").glob("[0-9]*.md")):
        found[path.name.split(".")[1]].append(" ".join(path.read_text("utf-8").split()))
    return "\n\n".join(
        f"## {CHANGES[kind]}\n\n" + "\n".join(f"- {note}" for note in notes)
        for kind, notes in found.items()
        if notes
    )


def generated() -> dict[str, str]:
    """Every generated page by its path."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8").replace("](docs/", "](")
    api = {f"{API}/{name}.md": f"::: {name}\n" for name in modules()}
    api[f"{API}/lipar.md"] = front_page()
    return {
        "contributing.md": contributing,
        "reference/commands.md": commands(),
        "reference/parts.md": parts(),
        **api,
    }


def on_config(config: MkDocsConfig) -> None:
    """Put the modules where the navigation says `reference/api/`."""

    def filled(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {title: filled(below) for title, below in entry.items()}
        if isinstance(entry, list):
            return [filled(below) for below in entry]
        return api_nav(modules()) if entry == f"{API}/" else entry

    config.nav = filled(config.nav)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Gather the notes of single changes below the page on changes."""
    return f"{markdown}\n\n{changes()}" if page.file.src_uri == "changelog/README.md" else markdown
