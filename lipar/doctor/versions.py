"""Versions of lipar and of the packages that it needs, compared with what it declares."""

import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from lipar.doctor.finding import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SHOWN = ("torch", "diffusers", "transformers", "triton", "av", "accelerate", "huggingface-hub")
"""Packages that are always listed; of the others only those that are wrong."""
OPTIONAL = {"triton": "PyTorch's builds for NVIDIA GPUs bring it; without it passes are not recorded"}


def installed_version(name: str) -> str | None:
    """The version of an installed package; None: it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_versions(
    installed: Callable[[str], str | None] = installed_version, declared: Iterable[str] | None = None
) -> Iterator[Finding]:
    """Python, lipar, and each package with its version, and the range that lipar declares where it is outside.

    Args:
        installed: gives the version of a package.
        declared: requirements; None: lipar's own.
    """
    from packaging.requirements import Requirement

    yield Finding("python", "ok", platform.python_version())
    own = installed("lipar")
    yield Finding("lipar", "ok", own or "not installed; run from its source")
    wanted = [Requirement(each) for each in (declared if declared is not None else _own_requirements())]
    needed = {each.name: each for each in wanted if each.marker is None}
    for name in dict.fromkeys((*SHOWN, *needed)):
        finding = _finding(name, installed(name), needed.get(name))
        if finding is not None and (name in SHOWN or finding.state != "ok"):
            yield finding


def _finding(name: str, found: str | None, needed: "Requirement | None") -> Finding | None:
    if needed is None:
        if found is None:
            return Finding(name, "note", "not installed", OPTIONAL[name]) if name in OPTIONAL else None
        return Finding(name, "ok", found)
    install = f"pip install '{needed}'"
    if found is None:
        return Finding(name, "broken", "not installed", install)
    if not needed.specifier.contains(found, prereleases=True):
        return Finding(name, "warning", f"{found}, which lipar was not tried with", install)
    return Finding(name, "ok", found)


def _own_requirements() -> list[str]:
    try:
        return requires("lipar") or []
    except PackageNotFoundError:
        return []
