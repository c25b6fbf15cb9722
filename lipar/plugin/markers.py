"""The markers of hooks. This module imports pluggy alone, so that a light module can mark its hooks."""

import pluggy

hookspec = pluggy.HookspecMarker("lipar")
hookimpl = pluggy.HookimplMarker("lipar")
