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
    "lipar_lab": ROOT / "plugins" / "lipar_lab",
    "lipar_adapters": ROOT / "adapters" / "lipar_adapters",
}
ORDER = [
    *(
        "types",
        "layout",
        "attention.rope",
        "attention.kv_cache",
        "protocols",
        "job",
        "hookspecs",
        "plugin.stages",
    ),
    *("scheduler", "editing.run", "editing.edit"),
]
"""A module of the core imports, directly or not, none that comes after it in this list."""
LEVELS = [
    {"catalogue", "files", "metrics", "video"},
    {"attention", "masks", "memory"},
    {"engines"},
    {"plugin"},
    {"page", "sampling", "watch"},
    {"enabling", "regions"},
    {"editing"},
    {"batch"},
    {"live"},
    {"doctor"},
    {"cli"},
    {"testing"},
]
"""Folders of the core: each imports folders of earlier levels and of its own level only."""
HEAVY = {"av", "cv2", "diffusers", "transformers"}
TORCH = HEAVY | {"torch", "numpy"}
ENTRY_POINTS: dict[str, dict[str, str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "entry-points"
]
LIGHT = {"lipar": HEAVY, "lipar.commands": TORCH}
"""What the modules of a group of entry points do not load. `lipar --help` loads those of `lipar.commands`."""


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
EVERY_MODULE = {module: imports for modules in MODULES.values() for module, imports in modules.items()}


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


MODEL_LIBRARIES = {"diffusers", "transformers"}
FORBIDDEN = {
    "lipar": {"lipar_plugins", "lipar_lab", "lipar_adapters"} | MODEL_LIBRARIES,
    "lipar_plugins": {"lipar_lab", "lipar_adapters"} | MODEL_LIBRARIES,
    "lipar_lab": {"lipar_plugins"} | MODEL_LIBRARIES,
    "lipar_adapters": {"lipar_plugins", "lipar_lab"},
}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_knows_the_others_only_by_their_entry_points(package: str) -> None:
    assert offences(package, FORBIDDEN[package], when=ANY_TIME) == []


def test_the_laboratory_imports_only_modules_of_adapters_that_load_nothing_heavy() -> None:
    imported = {
        module
        for imports in MODULES["lipar_lab"].values()
        for found in imports
        if (module := module_of(found.target, EVERY_MODULE)) and found.top == "lipar_adapters"
    }
    assert [line for module in imported for line in heavy_imports(module, TORCH)] == []


def test_only_modules_for_video_files_and_live_frames_know_pyav() -> None:
    found = offences("lipar", {"av"}, when=ANY_TIME)
    assert [offence for offence in found if not offence.startswith(("lipar.video", "lipar.live"))] == []


def test_only_metrics_know_opencv() -> None:
    found = offences("lipar", {"cv2"}, when=ANY_TIME)
    assert [offence for offence in found if not offence.startswith("lipar.metrics")] == []


def needs(*, when: set[str]) -> dict[str, set[str]]:
    """Which modules, of all packages, each module imports."""
    return {
        module: {
            needed
            for found in imports
            # the version is read from the metadata of the installation
            if found.when in when and found.target != "lipar.__version__"
            if (needed := module_of(found.target, EVERY_MODULE)) not in (None, module)
        }
        for module, imports in EVERY_MODULE.items()
    }


def test_there_is_no_import_circle_of_any_kind() -> None:
    """Imports inside functions and for type checkers are counted."""
    graph = needs(when=ANY_TIME)
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


def reached_from(module: str, graph: dict[str, set[str]]) -> set[str]:
    reached, ahead = set(), [module]
    while ahead:
        for needed in graph.get(ahead.pop(), set()) - reached:
            reached.add(needed)
            ahead.append(needed)
    return reached


@pytest.mark.parametrize("name", ORDER)
def test_the_core_is_read_in_one_order(name: str) -> None:
    later = {f"lipar.{other}" for other in ORDER[ORDER.index(name) + 1 :]}
    assert f"lipar.{name}" in EVERY_MODULE
    assert reached_from(f"lipar.{name}", needs(when=ANY_TIME)) & later == set()


def folder_of(module: str) -> str | None:
    """The folder of the core that a module is in; None: directly in `lipar`, or in another package."""
    parts = module.split(".")
    path = PACKAGES["lipar"] / parts[1] if parts[0] == "lipar" and len(parts) > 1 else None
    return parts[1] if path is not None and path.is_dir() else None


def test_folders_of_the_core_import_those_of_earlier_levels_only() -> None:
    level = {folder: index for index, folders in enumerate(LEVELS) for folder in folders}
    folders = {path.parent.name for path in PACKAGES["lipar"].glob("*/__init__.py")}
    assert level.keys() == folders, "every folder has its level"
    upward = [
        f"{module} imports {needed}"
        for module, imported in needs(when=ANY_TIME).items()
        for needed in imported
        if (low := folder_of(module)) and (high := folder_of(needed)) and level[low] < level[high]
    ]
    assert upward == []


def heavy_imports(module: str, heavy: set[str]) -> list[str]:
    """The imports of heavy libraries that happen when a module is loaded, its packages included."""
    graph = needs(when={"load"})
    # Python loads `a` and `a.b` before `a.b.c`
    graph = {name: imported | set(packages_of(name)) for name, imported in graph.items()}
    return [
        f"{name}:{found.line} imports {found.target}"
        for name in sorted({module} | reached_from(module, graph))
        for found in EVERY_MODULE.get(name, [])
        if found.when == "load" and found.top in heavy
    ]


def packages_of(module: str) -> Iterator[str]:
    while module := module.rpartition(".")[0]:
        yield module


@pytest.mark.parametrize(
    ("group", "target"),
    [(group, target) for group in LIGHT for target in sorted(set(ENTRY_POINTS[group].values()))],
)
def test_an_entry_point_stays_light_to_read(group: str, target: str) -> None:
    assert heavy_imports(target, LIGHT[group]) == []


def modules_after(statement: str) -> set[str]:
    """Top-level names in sys.modules of a new interpreter after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("group", LIGHT)
def test_importing_every_entry_point_loads_nothing_heavy(group: str) -> None:
    names = ", ".join(sorted(set(ENTRY_POINTS[group].values())))
    assert modules_after(f"import {names}") & LIGHT[group] == set()


@pytest.mark.parametrize("module", ["lipar", "lipar.cli", "lipar.video", "lipar.testing"])
def test_importing_a_public_package_loads_nothing_heavy(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert loaded & (HEAVY | PACKAGES.keys() - {"lipar"}) == set()


def test_every_command_takes_its_plugins_from_one_place_so_that_no_plugins_holds_for_all():
    commands = [
        *(PACKAGES["lipar"] / "cli").glob("*.py"),
        *PACKAGES["lipar_lab"].rglob("command.py"),
        *PACKAGES["lipar_adapters"].rglob("command.py"),
    ]
    assert {path.name for path in commands if "load_plugins" in path.read_text("utf-8")} == {"host.py"}
