"""How much a video flickers along its motion: warp error after Lai et al. 2018 (arXiv 1808.00449).

The motion is that of another video, usually the input, so that motion added by the edit counts as an error.
Needs OpenCV, which is imported when it is used: `pip install "lipar[measure]"`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from jaxtyping import Bool, Float, Float32
from torch import Tensor

FLOW_METHOD = "DIS optical flow (OpenCV, preset medium)"
"""To be reported with the number: another method gives another number."""


@attrs.frozen(eq=False, kw_only=True)
class Motion:
    """Motion of each pixel from one frame to the next, and where it is reliable."""

    flow: Float32[np.ndarray, "height width 2"]
    """Columns and rows, forward in time."""
    visible: Bool[np.ndarray, "height width"]
    """False where a pixel is hidden in the next frame, leaves it, or lies on the border of a motion."""


def warp_error(
    frames: Float[Tensor, "frames 3 height width"],
    motion_of: Float[Tensor, "frames 3 height width"] | Sequence[Motion],
) -> float:
    """Mean squared difference between each frame and the next, pulled back along the motion.

    For each pair E = sum |M (warp(O_t) - O_{t-1})|^2 / sum M, the square summed over RGB in [0, 1]; then the mean of
    the pairs. Papers often print it times 1000.

    Args:
        frames: RGB in [0, 1], two at least.
        motion_of: the video whose motion and occlusions M are used, or these, as `motion_of_clip` gives them: several
            results with one source need its motion once.

    Raises:
        ModuleNotFoundError: OpenCV is not installed.
        ValueError: fewer than two frames, or less motion than pairs of frames.
    """
    if len(frames) < 2:
        raise ValueError(
            f"warp error compares neighbouring frames, so it needs two at least; got {len(frames)}"
        )
    motions = motion_of_clip(motion_of) if isinstance(motion_of, Tensor) else motion_of
    if len(motions) < len(frames) - 1:
        raise ValueError(
            f"{len(frames)} frames need the motion between {len(frames) - 1} pairs, got {len(motions)}"
        )
    errors = []
    for index, motion in enumerate(motions[: len(frames) - 1], 1):
        before, after = (_array(frames[i]) for i in (index - 1, index))
        squared = np.square(_warp(after, motion.flow) - before).sum(axis=2)
        errors.append(float(squared[motion.visible].mean()) if motion.visible.any() else 0.0)
    return float(np.mean(errors))


def motion_of_clip(frames: Float[Tensor, "frames 3 height width"]) -> list[Motion]:
    """The motion from each frame to the next.

    Args:
        frames: RGB in [0, 1].
    """
    return [motion_between(before, after) for before, after in pairwise(frames)]


def motion_between(before: Float[Tensor, "3 height width"], after: Float[Tensor, "3 height width"]) -> Motion:
    """Forward flow, and where it is reliable: the backward flow must undo it, and it must be smooth.

    Hidden where |B + F|^2 > 0.01 (|B|^2 + |F|^2) + 0.5, B being the backward flow pulled back along F; a border where
    |grad F|^2 > 0.01 |F|^2 + 0.002 (Ruder et al. 2016, section 3.2).
    """
    estimator = _opencv().DISOpticalFlow_create(_opencv().DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [_opencv().cvtColor(_bytes(frame), _opencv().COLOR_RGB2GRAY) for frame in (before, after)]
    forward, backward = estimator.calc(grey[0], grey[1], None), estimator.calc(grey[1], grey[0], None)
    back = _warp(backward, forward)
    size, back_size = np.square(forward).sum(2), np.square(back).sum(2)
    hidden = np.square(back + forward).sum(2) > 0.01 * (size + back_size) + 0.5
    gradient = sum(np.square(slope).sum(2) for slope in np.gradient(forward, axis=(0, 1)))
    border = gradient > 0.01 * size + 0.002
    columns, rows = _targets(forward)
    height, width = size.shape
    outside = (columns < 0) | (columns > width - 1) | (rows < 0) | (rows > height - 1)
    return Motion(flow=forward, visible=~(hidden | border | outside))


def _targets(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return columns + flow[..., 0], rows + flow[..., 1]


def _warp(picture: np.ndarray, flow: np.ndarray) -> Any:
    """The picture warped backward: at every pixel the value that the flow points to."""
    cv2 = _opencv()
    columns, rows = _targets(flow)
    return cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _array(frame: Tensor) -> np.ndarray:
    return np.ascontiguousarray(frame.detach().float().cpu().permute(1, 2, 0).numpy())


def _bytes(frame: Tensor) -> np.ndarray:
    return np.ascontiguousarray((_array(frame) * 255).round().clip(0, 255).astype(np.uint8))


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "optical flow needs OpenCV, which is not installed: pip install 'lipar[measure]'"
        ) from error
    return cv2
