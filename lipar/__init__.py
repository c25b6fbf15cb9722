"""Latent inter-frame pruning with attention recovery for video diffusion transformers."""

from importlib.metadata import PackageNotFoundError, version

from lipar.certificate import Certificate, certificate
from lipar.config import Config, ConfigError, build_config
from lipar.door import disable, enable, summary
from lipar.layout import TokenLayout
from lipar.plugins import load_plugins
from lipar.scheduler import RestoredBlock, Scheduler

try:
    __version__ = version("lipar")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0"

__all__ = [
    "Certificate",
    "Config",
    "ConfigError",
    "RestoredBlock",
    "Scheduler",
    "TokenLayout",
    "build_config",
    "certificate",
    "disable",
    "enable",
    "load_plugins",
    "summary",
]
