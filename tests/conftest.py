"""What every test can count on: a Hypothesis profile, quiet threads, and `shared`, real clips where there are any.

The summary at the end says how many examples the property tests tried; the profile `nightly` tries 50 times as many.
"""

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from hypothesis import is_hypothesis_test, settings
from profiles import PROFILE, TIMES
from signature_checks import check_signature

ROOT = Path(__file__).parents[1]

# before any of the packages is imported
jaxtyping.jaxtyped = check_signature

# One thread unless asked for more, as `tox -e kernels` does: toys are too small to share out, and threads that wait for
# each other on a busy machine spin for minutes.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

# A suite that was started in the background inherits ignored signals, which lipar leaves ignored, as it should.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


class Examples:
    """Counts the examples of the property tests, over all workers, and multiplies them in a nightly run."""

    def __init__(self) -> None:
        self.tried = 0
        self._seen: set[Callable[..., Any]] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            test = getattr(item, "obj", None)
            test = getattr(test, "__func__", test)
            if test is None or not is_hypothesis_test(test) or test in self._seen:
                continue
            self._seen.add(test)
            # A profile gives way to a test's own `@settings(max_examples=...)`, so each test is multiplied by itself.
            # Hypothesis has no public place for this; tests/project/test_profiles.py fails if the attribute moves.
            own = test._hypothesis_internal_use_settings
            test._hypothesis_internal_use_settings = settings(own, max_examples=TIMES * own.max_examples)
            test.hypothesis.inner_test = self._counting(test.hypothesis.inner_test)

    def _counting(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.tried += 1
            return inner(*args, **kwargs)

        return counted

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["examples"] = self.tried

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.tried += getattr(node, "workeroutput", {}).get("examples", 0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(
            f"property tests tried {self.tried} examples (Hypothesis profile {PROFILE!r})"
        )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Examples(), "lipar-examples")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws without naming a seed is the same whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout: clips and golden files that are not ours to copy."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder 'shared' beside the checkout: its clips and golden files are other people's")
    return folder
