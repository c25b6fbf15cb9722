"""Deprecated: names that moved to `lipar.plugin.registry`; they work, with a warning, until version 0.3."""

import warnings

from lipar.plugin.registry import KINDS as KINDS
from lipar.plugin.registry import Registered as Registered
from lipar.plugin.registry import Registry as Registry

warnings.warn(
    "lipar.registry is deprecated; import from lipar.plugin.registry", DeprecationWarning, stacklevel=2
)
