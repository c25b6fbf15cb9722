"""Time-to-Move (arXiv 2511.08633): motion control by dual-clock denoising, on stock diffusers pipelines.

A motion video, say a cut-out dragged across the first frame, shows what should move where. Denoising begins at a noise
level at which the motion video's latents are still felt (t_weak); inside the mask they are put back until a lower one
(t_strong), so the masked region follows them closely and the rest freely.
"""

from lipar_adapters.time_to_move.generate import time_to_move
from lipar_adapters.time_to_move.motion_latents import MotionLatents, encode_motion

__all__ = ["MotionLatents", "encode_motion", "time_to_move"]
