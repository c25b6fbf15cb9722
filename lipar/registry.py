"""The module of `Registry` until version 0.1, which plugins import; it still works, with a warning."""

import warnings

from lipar.plugin.registry import KINDS as KINDS
from lipar.plugin.registry import Registered as Registered
from lipar.plugin.registry import Registry as Registry

warnings.warn(
    "lipar.registry is deprecated; import from lipar.plugin.registry", DeprecationWarning, stacklevel=2
)
