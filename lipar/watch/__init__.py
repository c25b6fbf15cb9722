"""Watching a run: plugins that observe it. One measures times; the others show or record them."""

from lipar.events import Span
from lipar.watch.stages import StageTimer

__all__ = ["Span", "StageTimer"]
