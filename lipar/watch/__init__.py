"""Watching a run: plugins that look on. One measures, the others make something of it for people and programs."""

from lipar.watch.stages import Span, StageTimer

__all__ = ["Span", "StageTimer"]
