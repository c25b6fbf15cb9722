"""Watching a run: plugins that look on. One measures, the others make something of it for people and programs."""

from lipar.events import Span
from lipar.watch.stages import StageTimer

__all__ = ["Span", "StageTimer"]
