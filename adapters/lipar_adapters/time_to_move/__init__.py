"""Time-to-Move (arXiv 2511.08633): motion control by dual-clock denoising, on stock diffusers pipelines.

A motion video, say a cut-out dragged across the first frame, shows what should move where. Denoising begins at a noise
level at which the motion video's latents are still felt (t_weak); inside the mask they are put back until a lower one
(t_strong), so the masked region follows them closely and the rest freely.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lipar.plugin.commands import Commands
from lipar.plugin.markers import hookimpl

if TYPE_CHECKING:
    from lipar_adapters.time_to_move.generate import time_to_move
    from lipar_adapters.time_to_move.motion_latents import MotionLatents, encode_motion

_MODULES = {"MotionLatents": "motion_latents", "encode_motion": "motion_latents", "time_to_move": "generate"}
"""Where each public name is; imported when it is asked for, since `lipar --help` loads this module."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


@hookimpl
def lipar_register_commands(commands: Commands) -> None:
    """Offer `lipar ttm`."""
    commands.add(
        "ttm",
        "lipar_adapters.time_to_move.command:ttm",
        help="Make a clip that starts with an image and moves as a rough animation prescribes.",
    )


__all__ = ["MotionLatents", "encode_motion", "time_to_move"]
