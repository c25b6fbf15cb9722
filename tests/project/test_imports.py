"""Imports point one way, and what a plugin's entry point names stays light.

The tests that read source need nothing installed, so that `tox -e lint` runs them at once. Those named
`test_importing_...` import lipar.
"""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "lipar": ROOT / "lipar",
    "lipar_plugins": ROOT / "plugins" / "lipar_plugins",
    "lipar_adapters": ROOT / "adapters" / "lipar_adapters",
}
ORDER = ["types", "layout", "rope", "kv_cache", "protocols", "hookspecs", "stages", "scheduler"]
"""A module imports only those before it in this list (layout and rope are siblings)."""
HEAVY = {"av", "cv2", "diffusers", "transformers"}
ENTRY_POINTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "entry-points"
]["lipar"]


class Import(NamedTuple):
    """One imported name, as `package.module` or `package.module.name`, and when it is imported."""

    target: str
    line: int
    when: str
    """`load`: with the module; `call`: inside a function; `typing`: never at run time."""

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


def is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_below(
    nodes: list[ast.stmt] | list[ast.AST], package: str, when: str = "load"
) -> Iterator[Import]:
    """Every import below some nodes; relative ones are resolved against `package`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: -(node.level - 1) or None] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", node.lineno, when) for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports_below(list(ast.iter_child_nodes(node)), package, "call")
        elif isinstance(node, ast.If) and is_type_checking(node):
            yield from imports_below(node.body, package, "typing")
            yield from imports_below(node.orelse, package, when)
        else:
            yield from imports_below(list(ast.iter_child_nodes(node)), package, when)


def read_package(package: str) -> dict[str, list[Import]]:
    """The imports of every module of a package, by the module's full name."""
    found = {}
    root = PACKAGES[package]
    for path in sorted(root.rglob("*.py")):
        parts = [package, *path.relative_to(root).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        parent = name if is_package else name.rpartition(".")[0]
        found[name] = list(imports_below(ast.parse(path.read_text(), str(path)).body, parent))
    return found


MODULES = {package: read_package(package) for package in PACKAGES}


def module_of(target: str, modules: dict[str, list[Import]]) -> str | None:
    """The module that `package.module.name` comes from, or None if it is none of these modules."""
    if target in modules:
        return target
    parent = target.rpartition(".")[0]
    return parent if parent in modules else None


def offences(package: str, forbidden: set[str], *, when: set[str]) -> list[str]:
    return [
        f"{module}:{found.line} imports {found.target}"
        for module, imports in MODULES[package].items()
        for found in imports
        if found.top in forbidden and found.when in when
    ]


ANY_TIME = {"load", "call", "typing"}


def test_relative_and_lazy_imports_are_seen() -> None:
    source = "\n".join(
        [
            "from . import a",
            "from ..b import c",
            "if TYPE_CHECKING:\n    import d",
            "def f():\n    import e.g",
            "try:\n    import h\nexcept ImportError:\n    pass",
        ]
    )
    found = [(one.target, one.when) for one in imports_below(ast.parse(source).body, "lipar.video")]
    assert found == [
        ("lipar.video.a", "load"),
        ("lipar.b.c", "load"),
        ("d", "typing"),
        ("e.g", "call"),
        ("h", "load"),
    ]


def test_lipar_knows_plugins_and_adapters_only_by_entry_point() -> None:
    forbidden = {"lipar_plugins", "lipar_adapters", "diffusers", "transformers"}
    assert offences("lipar", forbidden, when=ANY_TIME) == []


def test_plugins_know_no_adapter() -> None:
    assert offences("lipar_plugins", {"lipar_adapters", "diffusers", "transformers"}, when=ANY_TIME) == []


def test_adapters_know_no_plugin() -> None:
    assert offences("lipar_adapters", {"lipar_plugins"}, when=ANY_TIME) == []


def test_only_the_video_rooms_know_pyav() -> None:
    rooms = ("lipar.video", "lipar.editing.run")
    strangers = [
        offence
        for offence in offences("lipar", {"av", "cv2"}, when=ANY_TIME)
        if not offence.startswith(rooms)
    ]
    assert strangers == []


def graph_of(package: str) -> dict[str, set[str]]:
    """Which modules of a package each of its modules needs before it can be loaded."""
    modules = MODULES[package]
    return {
        module: {
            needed
            for found in imports
            if found.when == "load" and (needed := module_of(found.target, modules)) not in (None, module)
        }
        for module, imports in modules.items()
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_needs_itself(package: str) -> None:
    graph = graph_of(package)
    # A package's __init__ gathers names from its modules, and they load after it: no cycle in practice.
    gathering = {module for module in graph if any(other.startswith(f"{module}.") for other in graph)}
    inner = {module: needed - gathering for module, needed in graph.items() if module not in gathering}
    assert len(list(TopologicalSorter(inner).static_order())) >= len(inner)


def reached_from(module: str, graph: dict[str, set[str]]) -> set[str]:
    reached, ahead = set(), [module]
    while ahead:
        for needed in graph.get(ahead.pop(), set()) - reached:
            reached.add(needed)
            ahead.append(needed)
    return reached


@pytest.mark.parametrize("name", ORDER)
def test_the_core_is_read_in_one_order(name: str) -> None:
    graph = {module: needed - {"lipar"} for module, needed in graph_of("lipar").items()}
    later = {f"lipar.{other}" for other in ORDER[ORDER.index(name) + 1 :]}
    assert reached_from(f"lipar.{name}", graph) & later == set()


def test_an_entry_point_stays_light_to_read() -> None:
    everything = {module: imports for modules in MODULES.values() for module, imports in modules.items()}
    graph = {
        module: {
            needed
            for found in imports
            if found.when == "load" and (needed := module_of(found.target, everything)) is not None
        }
        for module, imports in everything.items()
    }
    heavy = [
        f"{name} -> {module}:{found.line} imports {found.target}"
        for name, target in ENTRY_POINTS.items()
        for module in {target} | reached_from(target, graph)
        for found in everything.get(module, [])
        if found.when == "load" and found.top in HEAVY
    ]
    assert heavy == []


def modules_after(statement: str) -> set[str]:
    """Top-level names in sys.modules of a new interpreter after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_every_entry_point_loads_nothing_heavy() -> None:
    names = ", ".join(sorted(set(ENTRY_POINTS.values())))
    assert modules_after(f"import {names}") & HEAVY == set()


@pytest.mark.parametrize("module", ["lipar", "lipar.cli", "lipar.video", "lipar.testing"])
def test_importing_a_public_package_loads_nothing_heavy(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert loaded & (HEAVY | {"lipar_plugins", "lipar_adapters"}) == set()


def test_every_command_takes_its_plugins_from_one_place_so_that_no_plugins_holds_for_all():
    commands = [*(ROOT / "lipar" / "cli").glob("*.py"), ROOT / "lipar" / "bench" / "command.py"]
    own = {path.name for path in commands if "load_plugins" in path.read_text("utf-8")}
    assert own == {"host.py"}
