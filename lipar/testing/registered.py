"""The tests that `pytest --lipar-part NAME` runs: every law of its kind, for every registered part of that name."""

from collections.abc import Callable
from typing import Any

import pytest

from lipar.plugin.host import load_plugins
from lipar.testing.contracts import Case, Law, cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each part with that name and each law of its kind."""
    try:
        found = list(cases(load_plugins(), metafunc.config.getoption("--lipar-part")))
    except LookupError as error:
        raise pytest.UsageError(f"--lipar-part: {error.args[0]}") from error
    metafunc.parametrize(("make", "law"), [as_param(case) for case in found])


def as_param(case: Case) -> Any:
    """The arguments of a test; skipped with the reason where the part cannot be made by name."""
    reason = f"has no default for {', '.join(case.needed)}; give `contract` a function that makes it"
    marks = [pytest.mark.skip(reason=reason)] if case.needed else []
    return pytest.param(case.make, case.law, id=case.name, marks=marks)


def test_contract(make: Callable[[], Any], law: Law) -> None:
    """One law for one part."""
    law(make)
