"""Adapters do not import the laboratory, and what runs the tiny model does not import what trains it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ADAPTERS = Path(__file__).parents[2] / "adapters" / "lipar_adapters"


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def importers(of: str, but: Path | None = None) -> list[str]:
    """Files that import a package, those of a folder excepted."""
    files = (path for path in ADAPTERS.rglob("*.py") if but is None or but not in path.parents)
    return [path.name for path in files if any(f"{name}.".startswith(f"{of}.") for name in imported(path))]


def test_no_adapter_imports_the_laboratory() -> None:
    assert importers("lipar_lab") == []


def test_only_the_recipe_imports_the_recipe() -> None:
    assert importers("lipar_adapters.tiny.recipe", but=ADAPTERS / "tiny" / "recipe") == []
    assert importers("lipar_adapters.tiny.recipe")
