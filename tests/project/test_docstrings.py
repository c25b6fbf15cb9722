"""The examples in the docstrings of `lipar`'s public names run."""

import inspect
import re
from pathlib import Path

import pytest

import lipar
from lipar.video import write_synthetic_clip

EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEED_ONE = {"Scheduler", "edit", "load_model"}


def examples_of(name: str) -> list[str]:
    return EXAMPLE.findall(inspect.getdoc(getattr(lipar, name)) or "")


@pytest.mark.parametrize("name", [name for name in lipar.__all__ if name in NEED_ONE or examples_of(name)])
def test_the_example_in_the_docstring_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_synthetic_clip(tmp_path / "in.mp4", frames=14, width=96, height=96)
    examples = examples_of(name)
    assert examples, f"lipar.{name} has no example"
    for example in examples:
        exec(compile(example, f"docstring of lipar.{name}", "exec"), {"__name__": "example"})
