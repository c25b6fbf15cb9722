"""Keep masks of a scene, block by block.

Distances, the chain of refiners with their halos, and the long-term test.
"""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.masks.thresholds import AdaptiveThresholds
from lipar.protocols import Change, Criterion, Refiner
from lipar.types import Features, KeepMask, shaped

TokenFrame: TypeAlias = Float[Tensor, "rows cols features"]
LongReference: TypeAlias = Literal["kept", "thresholded"]


@attrs.frozen(eq=False, kw_only=True)
class DecidedBlock:
    """The final mask of one block; `index` and `first_frame` count from the start of the scene."""

    index: int
    first_frame: int
    keep_mask: Tensor = attrs.field(validator=shaped(KeepMask))
    features: Tensor = attrs.field(validator=shaped(Features))
    """What was compared, for `MaskStream.settle`."""


class HaloBuffer:
    """One refiner on a stream: holds the frames that it still needs, and makes up the border of the scene.

    Args:
        refiner: sees every frame with its halo, and answers `future_frames` late.
    """

    def __init__(self, refiner: Refiner) -> None:
        self.refiner = refiner
        self._beyond = refiner.border
        self._held: Change | None = None

    def push(self, change: Change) -> Change | None:
        """Take the next frames; give those whose halo is complete, if any."""
        past_frames = self.refiner.past_frames
        halo = past_frames + self.refiner.future_frames
        if halo == 0:
            return self.refiner(change)
        if self._held is not None:
            change = _join(self._held, change)
        elif past_frames:
            change = _join(self._border(change, 0, past_frames), change)
        self._held = change.inner(max(change.frames - halo, 0), 0)
        return self.refiner(change) if change.frames > halo else None

    def flush(self) -> Change | None:
        """The frames that waited for a future which does not come."""
        future_frames = self.refiner.future_frames
        if self._held is None or future_frames == 0:
            return None
        held, self._held = self._held, None
        return self.refiner(_join(held, self._border(held, held.frames - 1, future_frames)))

    def _border(self, change: Change, frame: int, count: int) -> Change:
        volumes = {name: getattr(change, name) for name in ("distance", "raw", "long_term", "keep")}
        for name, volume in volumes.items():
            if volume is not None:
                border = volume[frame : frame + 1].expand(count, -1, -1)
                volumes[name] = torch.zeros_like(border) if self._beyond == "zero" else border
        return attrs.evolve(change, **volumes)


def _join(first: Change, second: Change) -> Change:
    return attrs.evolve(
        second,
        distance=torch.cat([first.distance, second.distance]),
        raw=torch.cat([first.raw, second.raw]),
        long_term=torch.cat([first.long_term, second.long_term]),
        keep=None if first.keep is None or second.keep is None else torch.cat([first.keep, second.keep]),
    )


def last_kept(features: Features, keep_mask: KeepMask, before: TokenFrame) -> TokenFrame:
    """What each position shows after these frames: its last kept token, or what it showed before."""
    frame_after = torch.arange(1, features.shape[0] + 1, device=features.device)[:, None, None]
    source = (keep_mask * frame_after).amax(dim=0)
    shown = torch.cat([before[None], features])
    return shown.gather(0, source[None, :, :, None].expand(1, -1, -1, features.shape[-1]))[0]


class MaskStream:
    """Decide the keep masks of one scene from its source, in blocks and with bounded memory.

    Every frame but the first is compared with the frame before; the refiners make the mask of that. Right
    after the refiner that thresholds, tokens further than `tau_long` from their long-term reference join
    (Alg. 1 of arXiv 2603.05811); these distances are not smoothed, but the rest of the chain refines the mask
    that they make. The first frame is kept whole.

    Args:
        criterion: gives the distances.
        refiners: the chain; one of them must threshold. Those `of_blocks` come last and refine the mask of each
            block when it is otherwise final.
        tau_short: threshold of the distance to the frame before, in the units of the criterion.
        tau_long: threshold of the distance to the long-term reference; None: no such test.
        adaptive: gives both thresholds for each block instead.
        long_criterion: gives the distances to the long-term reference; None: `criterion` does.
        block_frames: frames of a block. Frames may be pushed in any number, results do not depend on it.
        reference: what the long-term test compares with. `kept`: what the frame before the block shows, that
            is the last token kept by the final mask (with refiners that look ahead: as far as it was decided
            when the frame came). `thresholded`: the last token kept by the mask that the long-term test itself
            makes, before the refiners after it, at the end of the previous block; no test in the first block.
            So it is in the authors' code.
        whole_first_frames: frames kept whole where the scene begins; None: the first block.
    """

    def __init__(
        self,
        criterion: Criterion,
        refiners: Sequence[Refiner],
        *,
        tau_short: float | None = None,
        tau_long: float | None = None,
        block_frames: int,
        reference: LongReference = "kept",
        whole_first_frames: int | None = None,
        adaptive: AdaptiveThresholds | None = None,
        long_criterion: Criterion | None = None,
    ) -> None:
        if reference not in ("kept", "thresholded"):
            raise ValueError(f"the long-term reference must be 'kept' or 'thresholded', got {reference!r}")
        if block_frames < 1:
            raise ValueError(f"a block has at least one frame, got block_frames={block_frames}")
        if (tau_short is None) == (adaptive is None) or (adaptive is not None and tau_long is not None):
            raise ValueError("thresholds are either given or adaptive: pass tau_short, or adaptive alone")
        self.criterion = criterion
        self.long_criterion = long_criterion or criterion
        self._refiner_names = names = [refiner.__class__.__name__ for refiner in refiners]
        of_blocks = [getattr(refiner, "of_blocks", False) for refiner in refiners]
        if of_blocks != sorted(of_blocks):
            raise ValueError(
                f"refiners of whole blocks come last, when the mask is otherwise final; {names} has "
                f"{names[of_blocks.index(True)]} before others"
            )
        self.stages = [HaloBuffer(refiner) for refiner, whole in zip(refiners, of_blocks) if not whole]
        self.block_refiners = [refiner for refiner, whole in zip(refiners, of_blocks) if whole]
        self.adaptive = adaptive
        self.tau_short = tau_short
        self.tau_long = math.inf if tau_long is None else tau_long
        self.block_frames = block_frames
        self.reference = reference
        self.whole_first_frames = block_frames if whole_first_frames is None else max(whole_first_frames, 1)
        self._threshold_stage: int | None = None
        self._incoming: Tensor | None = None  # features of a block that is not complete
        self._undecided: Tensor | None = None  # features of frames without a final mask
        self._last_frame: Tensor | None = None
        self._shown: Tensor | None = None  # the long-term reference, or what will be the next one
        self._block_reference: Tensor | None = None  # `thresholded` only: fixed over a block
        self._shown_before: Tensor | None = None  # `kept` only: as it was before the last decided block
        self._refined: Change | None = None  # refined frames that do not fill a block yet
        self._frames_tested = 1  # frames past the threshold; frame 0 has nothing to test
        self._frames_decided = 0
        self._blocks_decided = 0
        self._flushed = False

    @property
    def future_frames(self) -> int:
        """How many frames the refiners look ahead: masks come that much later than the source."""
        return sum(stage.refiner.future_frames for stage in self.stages)

    def push(self, features: Features) -> list[DecidedBlock]:
        """Take the next source frames of the scene; give the blocks that are decided now, in order.

        Raises:
            ValueError: the frames differ in shape from those before, or the chain of refiners makes no mask.
            RuntimeError: the scene was flushed.
        """
        if self._flushed:
            raise RuntimeError("this scene was flushed; a new scene takes a new MaskStream")
        if self._incoming is not None:
            if self._incoming.shape[1:] != features.shape[1:]:
                raise ValueError(
                    f"frames of {list(features.shape[1:])} follow frames of {list(self._incoming.shape[1:])} "
                    "(rows, columns, features); a scene has one size"
                )
            features = torch.cat([self._incoming, features])
        decided = []
        while features.shape[0] >= self.block_frames:
            decided += self._take_block(features[: self.block_frames])
            features = features[self.block_frames :]
        self._incoming = features
        return decided

    def flush(self) -> list[DecidedBlock]:
        """The scene ends: give the blocks that waited for more frames. The last may be shorter."""
        if self._flushed:
            return []
        decided = []
        if self._incoming is not None and self._incoming.shape[0]:
            decided = self._take_block(self._incoming)
        self._flushed = True
        for index, stage in enumerate(self.stages):
            rest = stage.flush()
            if rest is not None:
                self._refine(self._after_stage(index, rest), index + 1)
        return decided + self._emit()

    def _take_block(self, block: Features) -> list[DecidedBlock]:
        if self._last_frame is None:
            # frames kept whole are known to be shown, however late the masks come
            known = min(self.whole_first_frames, block.shape[0]) if self.reference == "kept" else 1
            self._shown = block[known - 1]
            self._undecided = block
            # the first frame has nothing to be compared with, and is kept
            nothing = torch.zeros(block.shape[:-1], device=block.device)[:1]
            self._refined = self._change(nothing, 0.0, 0.0, keep=torch.ones_like(nothing, dtype=torch.bool))
            current, previous = block[1:], block[:-1]
        else:
            assert self._undecided is not None
            self._undecided = torch.cat([self._undecided, block])
            current, previous = block, torch.cat([self._last_frame[None], block[:-1]])
        self._last_frame = block[-1]
        if current.shape[0]:
            raw = self.criterion(current, previous)
            tau_short: float | Tensor | None = self.tau_short
            tau_long: float | Tensor = self.tau_long
            if self.adaptive is not None:
                tau_short, tau_long = self.adaptive.of_block(raw)
            assert tau_short is not None
            self._refine(self._change(raw, tau_short, tau_long), 0)
        return self._emit()

    def _change(
        self, raw: Tensor, tau_short: float | Tensor, tau_long: float | Tensor, keep: Tensor | None = None
    ) -> Change:
        zero = torch.zeros_like(raw)
        return Change(
            distance=raw, raw=raw, long_term=zero, keep=keep, tau_short=tau_short, tau_long=tau_long
        )

    def _refine(self, change: Change, first_stage: int) -> None:
        for index in range(first_stage, len(self.stages)):
            refined = self.stages[index].push(change)
            if refined is None:
                return
            change = self._after_stage(index, refined)
        if change.keep is None:
            raise ValueError(
                "the refiners make no mask; put 'gaussian-threshold' or 'threshold' among them, "
                f"got {self._refiner_names or 'none'}"
            )
        self._refined = change if self._refined is None else _join(self._refined, change)

    def _after_stage(self, index: int, change: Change) -> Change:
        if change.keep is not None and self._threshold_stage is None:
            self._threshold_stage = index
        return self._test_long_term(change) if index == self._threshold_stage else change

    def _test_long_term(self, change: Change) -> Change:
        assert self._undecided is not None
        assert self._shown is not None
        assert change.keep is not None
        first = self._frames_tested
        self._frames_tested += change.frames
        if not isinstance(change.tau_long, Tensor) and math.isinf(change.tau_long):
            return change
        features = self._undecided[first - self._frames_decided :][: change.frames]
        if self.reference == "kept":
            long_term = self.long_criterion(features, self._shown.expand_as(features))
            return attrs.evolve(change, long_term=long_term, keep=change.keep | (long_term > change.tau_long))
        long_terms, keeps = [], []
        begin = 0
        while begin < change.frames:  # in pieces that end where a block ends: there the reference changes
            into_block = (first + begin) % self.block_frames
            piece = slice(begin, begin + self.block_frames - into_block)
            long_term, keep = change.long_term[piece], change.keep[piece]
            if into_block == 0:
                self._block_reference = self._shown
            if self._block_reference is not None:  # None in the first block
                long_term = self.long_criterion(
                    features[piece], self._block_reference.expand_as(features[piece])
                )
                keep = keep | (long_term > change.tau_long)
            self._shown = last_kept(features[piece], keep, self._shown)
            long_terms.append(long_term)
            keeps.append(keep)
            begin = piece.stop
        return attrs.evolve(change, long_term=torch.cat(long_terms), keep=torch.cat(keeps))

    def _emit(self) -> list[DecidedBlock]:
        decided: list[DecidedBlock] = []
        least = 1 if self._flushed else self.block_frames
        while self._refined is not None and self._refined.frames >= least:
            assert self._undecided is not None
            assert self._shown is not None
            block = self._refined.inner(0, max(self._refined.frames - self.block_frames, 0))
            frames = block.frames
            assert block.keep is not None
            whole = min(max(self.whole_first_frames - self._frames_decided, 0), frames)
            if whole:
                kept_whole = torch.ones_like(block.keep[:whole])
                block = attrs.evolve(block, keep=torch.cat([kept_whole, block.keep[whole:]]))
            for refiner in self.block_refiners:
                block = refiner(block)
            keep_mask = block.keep
            assert keep_mask is not None
            if self.adaptive is not None:
                self.adaptive.observe(keep_mask[whole:])
            features = self._undecided[:frames]
            if self.reference == "kept":
                self._shown_before = self._shown
                self._shown = last_kept(features, keep_mask, self._shown)
            decided.append(
                DecidedBlock(
                    index=self._blocks_decided,
                    first_frame=self._frames_decided,
                    keep_mask=keep_mask,
                    features=features,
                )
            )
            rest = self._refined.inner(frames, 0)
            self._refined = rest if rest.frames else None
            self._undecided = self._undecided[frames:]
            self._frames_decided += frames
            self._blocks_decided += 1
        return decided

    def settle(self, block: DecidedBlock, keep_mask: KeepMask) -> None:
        """Say what was really kept of the block that was decided last, where that is another mask.

        The long-term test then compares with what is shown after it.
        """
        if self.reference == "kept" and block.index == self._blocks_decided - 1:
            assert self._shown_before is not None
            self._shown = last_kept(block.features, keep_mask, self._shown_before)


def clip_mask(
    features: Features,
    criterion: Criterion,
    refiners: Sequence[Refiner],
    *,
    tau_short: float | None = None,
    tau_long: float | None = None,
    block_frames: int,
    reference: LongReference = "kept",
    whole_first_frames: int | None = None,
    adaptive: AdaptiveThresholds | None = None,
    long_criterion: Criterion | None = None,
) -> KeepMask:
    """The mask of a whole scene at once; arguments as for `MaskStream`, which makes it."""
    stream = MaskStream(
        criterion,
        refiners,
        tau_short=tau_short,
        tau_long=tau_long,
        block_frames=block_frames,
        reference=reference,
        whole_first_frames=whole_first_frames,
        adaptive=adaptive,
        long_criterion=long_criterion,
    )
    return torch.cat([block.keep_mask for block in stream.push(features) + stream.flush()])


__all__ = ["DecidedBlock", "HaloBuffer", "LongReference", "MaskStream", "clip_mask", "last_kept"]
