"""Packages that figures need and that lipar does not: a message that says what to install."""

import importlib.util
from types import ModuleType

MODULES = {
    "matplotlib": "matplotlib",
    "opencv-python-headless": "cv2",
    "torchmetrics": "torchmetrics",
    "vmaf-torch": "vmaf_torch",
}
"""The module of each package, by the name that pip knows."""


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not loaded.

    Args:
        package: its name for pip, one of `MODULES`.
    """
    return importlib.util.find_spec(MODULES[package]) is not None


def missing(package: str, what: str) -> ModuleNotFoundError:
    """The error for a package that is not installed.

    Args:
        package: its name for pip.
        what: what needs it, as the beginning of a sentence.
    """
    return ModuleNotFoundError(
        f"{what} needs {package}, which is not installed: pip install 'lipar[measure]'"
    )


def load(package: str, what: str, module: str | None = None) -> ModuleType:
    """A module of a package that may be missing.

    Args:
        package: its name for pip, one of `MODULES`.
        what: what needs it, as the beginning of a sentence.
        module: a module inside it; None: the package itself.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to install it.
    """
    if not is_installed(package):
        raise missing(package, what)
    return importlib.import_module(module or MODULES[package])
