"""The pytest plugin of lipar: `pytest --lipar-part NAME` runs the contract of a registered part, from any folder.

It stands outside the package `lipar`, which brings torch along and which jaxtyping's plugin wants to see first: every
pytest run of an environment imports this module.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lipar-part`."""
    parser.getgroup("lipar").addoption(
        "--lipar-part",
        metavar="NAME",
        help="run the contract of the registered parts of this name, or of `all`; nothing else unless paths are given",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the contracts if `--lipar-part` was given."""
    if config.getoption("--lipar-part") is None:
        return
    spec = find_spec("lipar")
    assert spec is not None and spec.origin is not None
    pytest.register_assert_rewrite("lipar.testing.contracts")
    registered = str(Path(spec.origin).parent / "testing" / "registered.py")
    given = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args = [*config.args, registered] if given else [registered]
