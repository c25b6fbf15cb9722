"""A new look that fades in over the last picture of the look before."""

import numpy as np

from lipar.live.block import Pictures


class CrossFade:
    """Fades from the last picture shown to those that come.

    What is faded out is one still picture: an edit of both prompts would take twice the time.
    """

    def __init__(self) -> None:
        self._last: Pictures | None = None
        self._from: Pictures | None = None
        self._shown = self._frames = 0

    def begin(self, frames: int) -> None:
        """Begin to fade from the last picture, over a number of frames; with 0, or before the first, nothing fades."""
        if self._last is not None and frames > 0:
            self._from, self._shown, self._frames = self._last, 0, frames

    def __call__(self, pictures: Pictures) -> Pictures:
        """The next pictures, faded where it is their turn.

        Args:
            pictures: of a block; not changed.
        """
        if self._from is not None:
            count = min(len(pictures), self._frames - self._shown)
            weights = (np.arange(count) + self._shown + 1) / (self._frames + 1)
            weights = weights[:, None, None, None].astype(np.float32)
            faded = weights * pictures[:count] + (1 - weights) * self._from
            pictures = np.concatenate([np.rint(faded).astype(np.uint8), pictures[count:]])
            self._shown += count
            if self._shown == self._frames:
                self._from = None
        self._last = pictures[-1]
        return pictures
