"""A stream of latents that is decoded only where it changes."""

import statistics
import time
from collections.abc import Callable
from itertools import groupby
from typing import TypeAlias

import torch
from torch import Tensor

from lipar.regions.places import Cells, Cost, Rect, changed_cells, grown_cells, rectangles
from lipar.regions.stages import StagedDecoder
from lipar.types import Latents, PixelFrames
from lipar.watch.clock import Stopwatch

HALO = 1
"""Cells around a changed one that are decoded as well."""
BREAK_EVEN = 0.9
"""A frame is decoded whole where its places would cost this share of it, or more."""
COST_ON_CPU, COST_ON_GPU = Cost(margin=2.0, each=16.0), Cost(margin=2.0, each=128.0)
"""On a GPU, the calls for one more place take as long as the work on many cells."""
Plan: TypeAlias = list[Rect] | None
"""Where a frame is decoded; None: everywhere."""


class Trial:
    """Whether decoding by regions is faster on this machine, from the first frames that are decoded either way."""

    REGIONS = 4
    """Frames decoded by regions until it is known; the first one is not counted."""
    LEAST_CELLS = 512
    """Latents of a frame below which there is nothing worth gaining; 256x128 pixels."""

    def __init__(self) -> None:
        self._seconds: dict[bool, list[float]] = {True: [], False: []}

    @property
    def is_over(self) -> bool:
        """Whether enough frames were timed."""
        return len(self._seconds[False]) >= self.REGIONS

    @property
    def is_lost(self) -> bool:
        """Whether it is over, and regions were not faster."""
        if not self.is_over:
            return False
        whole, regions = self._seconds[True], self._seconds[False]
        return statistics.median(regions[1:]) >= statistics.median(whole[1:] or whole)

    def run(self, decode: Callable[[], Tensor], frames: int, *, whole: bool, device: torch.device) -> Tensor:
        """Decode and, until the trial is over, take the time.

        Args:
            decode: what to do.
            frames: latent frames that it decodes.
            whole: whether it decodes them whole.
            device: where; on a GPU the host waits for it.
        """
        if self.is_over:
            return decode()
        if device.type == "cuda":
            watch = Stopwatch(device)
            pixels = decode()
            seconds = watch.seconds()
        else:
            start = time.thread_time()  # what other threads and programs do meanwhile does not count
            pixels = decode()
            seconds = time.thread_time() - start
        self._seconds[whole] += [seconds / frames] * (frames if whole else 1)
        return pixels


class RegionStream:
    """Decodes latent frames one after the other; where the latents repeat, the pictures do.

    A place is decoded where its latents differ from the frame before, around such places, and once more after it came
    to rest: the pixel frames of a latent frame in motion lead up to it, so repeating them would show the motion again.

    Args:
        decoder: a new one; its stream begins here.
        tolerance: the largest difference between latents that counts as none; may differ by channel, `c 1 1`.
        trial: decode some frames by regions, and only whole ones from then on if this was no faster. Then the result
            depends on the machine.
    """

    def __init__(
        self, decoder: StagedDecoder, *, tolerance: float | Tensor = 0.0, trial: bool = False
    ) -> None:
        self._decoder, self._tolerance = decoder, tolerance
        self._trial = Trial() if trial else None
        self._shown: Tensor | None = None
        self._moved: Cells | None = None
        self.cells = self.decoded_cells = 0
        """Latent cells that came, and those of them that were decoded."""

    @torch.no_grad()
    def __call__(self, latents: Latents, *, whole: bool = False) -> PixelFrames:
        """Pixel frames of some more latent frames.

        Args:
            latents: as the decoder takes them.
            whole: decode every place of them; the result is then that of decoding without regions.
        """
        plans = self._plans(latents)
        if whole or (self._trial is not None and self._trial.is_lost):
            plans = [None] * len(plans)
        pieces: list[Tensor] = []
        frame = 0
        for is_whole, run in groupby(plans, lambda plan: plan is None):
            alike = list(run)
            # whole frames go together, as they would without regions
            for places, count in [(None, len(alike))] if is_whole else [(plan, 1) for plan in alike]:
                pieces.append(self._decode(latents[:, frame : frame + count], places))
                frame += count
        return torch.cat(pieces, self._decoder.time_axis).transpose(1, self._decoder.time_axis)

    def _decode(self, latents: Tensor, places: Plan) -> Tensor:
        frames, rows, cols = latents.shape[1], *latents.shape[-2:]
        self.cells += frames * rows * cols
        self.decoded_cells += frames * rows * cols if places is None else sum(rect.area for rect in places)

        def decode() -> Tensor:
            return self._decoder.whole(latents) if places is None else self._decoder.at(latents, places)

        if self._trial is None:
            return decode()
        return self._trial.run(decode, frames, whole=places is None, device=latents.device)

    def _plans(self, latents: Latents) -> list[Plan]:
        """Where each frame is to be decoded; the host waits for the latents once."""
        changes, self._shown = changed_cells(latents, self._shown, self._tolerance)
        cost = COST_ON_GPU if latents.device.type == "cuda" else COST_ON_CPU
        return [self._plan(cells, cost) for cells in changes.cpu()]

    def _plan(self, changed: Cells, cost: Cost) -> Plan:
        active = grown_cells(changed, HALO)
        if self._moved is not None:
            active |= self._moved
        self._moved = changed
        if self._trial is not None and active.numel() < Trial.LEAST_CELLS:
            return None
        rects = rectangles(active, cost)
        return rects if sum(map(cost.of, rects)) < BREAK_EVEN * active.numel() else None
