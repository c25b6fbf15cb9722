"""One refiner on a stream of frames: the frames that it sees before and after those it answers for.

A refiner that looks `past_frames` back and `future_frames` ahead gets windows that overlap:

    frames     0  1  2  3  4  5  6  7 ...
    window 1  [p  p  a  a  a  f]                 p: past, f: future, a: answered now
    window 2           [p  p  a  a  a  f]        answers come `future_frames` late

Before the first and after the last frame of a scene, the frames are what the refiner's `border` says.
"""

import attrs
import torch

from lipar.protocols import Change, Refiner


class HaloBuffer:
    """One refiner on a stream: keeps the frames that it still needs, and adds the border of the scene.

    Args:
        refiner: gets every frame with its halo, so that its result comes `future_frames` late.
    """

    def __init__(self, refiner: Refiner) -> None:
        self.refiner = refiner
        self._beyond = refiner.border
        self._halo: Change | None = None

    def push(self, change: Change) -> Change | None:
        """Take the next frames; give those whose halo is complete, or None if there are none."""
        past_frames = self.refiner.past_frames
        halo = past_frames + self.refiner.future_frames
        if halo == 0:
            return self.refiner(change)
        if self._halo is not None:
            change = join_changes(self._halo, change)
        elif past_frames:
            change = join_changes(self._border(change, 0, past_frames), change)
        self._halo = change.inner(max(change.frames - halo, 0), 0)
        return self.refiner(change) if change.frames > halo else None

    def flush(self) -> Change | None:
        """At the end of the scene: the frames that were waiting for later ones, or None if there are none."""
        future_frames = self.refiner.future_frames
        if self._halo is None or future_frames == 0:
            return None
        halo, self._halo = self._halo, None
        return self.refiner(join_changes(halo, self._border(halo, halo.frames - 1, future_frames)))

    def _border(self, change: Change, frame: int, count: int) -> Change:
        volumes = {name: getattr(change, name) for name in ("distance", "raw", "long_term", "keep")}
        for name, volume in volumes.items():
            if volume is not None:
                border = volume[frame : frame + 1].expand(count, -1, -1)
                volumes[name] = torch.zeros_like(border) if self._beyond == "zero" else border
        return attrs.evolve(change, **volumes)


def join_changes(first: Change, second: Change) -> Change:
    """The frames of one change and then those of another, with the thresholds of the second."""
    return attrs.evolve(
        second,
        distance=torch.cat([first.distance, second.distance]),
        raw=torch.cat([first.raw, second.raw]),
        long_term=torch.cat([first.long_term, second.long_term]),
        keep=None if first.keep is None or second.keep is None else torch.cat([first.keep, second.keep]),
    )
