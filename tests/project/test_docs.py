"""Every hook has its heading in the documents, with its arguments; the built site has every name, part and option.

The second half reads a built site: `tox -e docs` builds it and names its folder in LIPAR_SITE.
"""

import ast
import importlib.util
import inspect
import os
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path

import attrs
import click
import pytest

import lipar
from lipar import hookspecs

SITE = os.environ.get("LIPAR_SITE")
WHEEL = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"][
    "build"
]
PACKAGES = [Path(name).name for name in WHEEL["targets"]["wheel"]["packages"] if not name.endswith(".py")]
needs_site = pytest.mark.skipif(not SITE, reason="no built site; run `tox -e docs`")
TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "hooks.md").read_text("utf-8")
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("lipar_")}
SECTIONS = dict(re.findall(r"^### (lipar_\w+\([^\n]*\))\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))


def heading(name):
    return f"{name}({', '.join(inspect.signature(HOOKS[name]).parameters)})"


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_heading_and_says_what_each_argument_is(name):
    section = SECTIONS[heading(name)]
    described = re.findall(r"^- `(\w+)`: ", section, re.MULTILINE)
    assert described == list(inspect.signature(HOOKS[name]).parameters)


def test_no_heading_is_of_a_hook_that_is_gone():
    assert set(SECTIONS) == {heading(name) for name in HOOKS}


@pytest.mark.parametrize("name", HOOKS)
def test_every_spec_can_be_implemented_from_its_docstring(name):
    text = inspect.getdoc(HOOKS[name])
    assert all(
        re.search(rf"^ +{argument}: ", text, re.MULTILINE)
        for argument in inspect.signature(HOOKS[name]).parameters
    )


@cache
def page(path):
    """A page of the built site as HTML."""
    return (Path(SITE) / path / "index.html").read_text("utf-8")


@cache
def anchors(path):
    return set(re.findall(r'\bid="?([^\s">]+)', page(path)))


def words_of(html):
    """The text of HTML, with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def section(path, anchor):
    """The text below a heading, up to the next one of the same or a higher level."""
    after = re.split(rf'<h([23]) id="?{re.escape(anchor)}"?>', page(path), maxsplit=1)
    assert len(after) == 3, f"{path} has no heading {anchor}"
    return words_of(re.split(rf"<h[2-{after[1]}] id=|</article>", after[2], maxsplit=1)[0])


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        folder = Path(importlib.util.find_spec(package).origin).parent
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if "._" not in name:
                yield name, path


def public_names(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Names without an underscore that a module or class binds, methods and attributes of its classes among them."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                found = [name]
            case ast.ClassDef(name=name):
                found = [name, *(f"{name}.{inner}" for inner in public_names(node))]
            case ast.Assign(targets=[ast.Name(id=name)]):
                found = [name]
            case _:
                continue
        if not name.startswith("_"):
            yield from found


def commands(command: click.Command, name: str = "lipar") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner in command.list_commands(click.Context(command)):
            yield from commands(command.get_command(click.Context(command), inner), f"{name} {inner}")


def own_parts():
    return [
        (kind, part)
        for kind, registry in lipar.load_plugins().registries.items()
        for part in registry
        if part.owner.split()[0] == "lipar"
    ]


def test_public_names_are_found_in_modules_and_classes():
    tree = ast.parse(
        "A: int = 1\n_b = 2\ndef f(): ...\nclass C:\n  x: int\n  def g(self): ...\n  def _h(self): ...\n"
    )
    assert list(public_names(tree)) == ["A", "f", "C", "C.x", "C.g"]


@needs_site
@pytest.mark.parametrize(("module", "path"), list(modules()), ids=[name for name, _ in modules()])
def test_every_public_name_of_a_module_has_its_place_in_the_reference(module, path):
    expected = {f"{module}.{name}" for name in public_names(ast.parse(path.read_text("utf-8")))}
    assert expected <= anchors(f"reference/api/{module}")


@needs_site
def test_every_name_that_lipar_exports_is_on_its_page():
    exported = [getattr(lipar, name) for name in lipar.__all__]
    assert {f"{each.__module__}.{each.__qualname__}" for each in exported} <= anchors("reference/api/lipar")


@needs_site
def test_every_command_is_on_the_page_of_commands_with_all_its_options():
    from lipar.cli import cli

    for name, command in commands(cli):
        text = section("reference/commands", name.replace(" ", "-"))
        for param in command.params:
            names = param.opts + param.secondary_opts if isinstance(param, click.Option) else []
            assert all(re.search(rf"(?<!\S){re.escape(option)}(?![\w-])", text) for option in names), (
                name,
                names,
            )


@needs_site
@pytest.mark.parametrize(
    ("kind", "part"), own_parts(), ids=[f"{kind}-{part.name}" for kind, part in own_parts()]
)
def test_every_part_is_on_the_page_of_parts_with_all_its_options(kind, part):
    text = section("reference/parts", f"{kind}-{part.name}")
    options = {field.name for field in attrs.fields(part.part) if field.init}
    assert all(re.search(rf"\b{name}\b", text) for name in options)


@needs_site
@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_on_the_built_page_of_hooks(name):
    assert re.search(rf"<h3[^>]*>{name}\(", page("reference/hooks"))


def test_every_key_of_a_config_is_on_the_page_of_configuration():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "config.md").read_text("utf-8")
    for field in attrs.fields(lipar.Config):
        assert re.search(rf"\b{field.name}\b", text), field.name
        for inner in attrs.fields(field.type) if attrs.has(field.type) else ():
            assert re.search(rf"\b{inner.name}\b", text), f"{field.name}.{inner.name}"


@needs_site
def test_no_page_of_the_site_fetches_anything_from_elsewhere():
    for path in Path(SITE).rglob("*.html"):
        fetched = re.findall(r'<(?:script|img|iframe)[^>]*\bsrc="?([^\s">]+)', path.read_text("utf-8"))
        fetched += re.findall(r'<link[^>]*rel="?stylesheet"?[^>]*href="?([^\s">]+)', path.read_text("utf-8"))
        assert [url for url in fetched if "//" in url] == [], path
