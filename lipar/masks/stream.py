"""Keep masks of a scene, block by block.

    source frames -> distance to the frame before -> refiners up to the threshold -> long-term test
                  -> refiners after the threshold -> blocks -> first frames in full, refiners of blocks -> keep mask

Refiners get a halo of frames around those that they refine: `lipar.masks.halo`. What the long-term test compares with:
`lipar.masks.long_term`.
"""

import math
from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from lipar.masks.halo import HaloBuffer, join_changes
from lipar.masks.long_term import KeptReference, LongReference, LongTermReference, ThresholdedReference
from lipar.masks.measure import Distance
from lipar.masks.thresholds import AdaptiveThresholds
from lipar.origins import TokenOrigins
from lipar.protocols import Change, Refiner
from lipar.types import ChangeMap, Features, KeepMask, shaped


@attrs.frozen(eq=False, kw_only=True)
class DecidedBlock:
    """The final mask of one block; `index` and `first_frame` count from the start of the scene."""

    index: int
    first_frame: int
    keep_mask: Tensor = attrs.field(validator=shaped(KeepMask))
    features: Tensor = attrs.field(validator=shaped(Features))
    """What was compared, for `MaskStream.settle`."""
    distance: Tensor = attrs.field(validator=shaped(ChangeMap))
    """Distance of each token to the frame before, unrefined; 0 in the first frame of the scene."""


class MaskStream:
    """Decide the keep masks of one scene from its source, in blocks and with bounded memory.

    Every frame but the first is compared with the frame before; the refiners turn these distances into a mask. Right
    after the refiner that thresholds, tokens further than `tau_long` from their long-term reference are added to it
    (Alg. 1 of arXiv 2603.05811). Distances to the reference are not smoothed, but the rest of the chain refines the
    mask that they are part of. The first frame is kept in full.

    Args:
        criterion: gives the distances.
        refiners: the chain; one of them must threshold. Those `of_blocks` come last and refine the mask of each
            block after all others.
        tau_short: threshold of the distance to the frame before, in the units of the criterion.
        tau_long: threshold of the distance to the long-term reference; None: no such test.
        adaptive: gives both thresholds for each block; None: they are fixed.
        long_criterion: gives the distances to the long-term reference; None: `criterion` does.
        block_frames: frames of a block. Frames may be pushed in any number; results do not depend on it.
        reference: what the long-term test compares with; see `lipar.masks.long_term`.
        whole_first_frames: frames kept in full where the scene begins; None: the first block.

    Raises:
        ValueError: an unknown reference, a block without frames, thresholds both given and adaptive or neither, or a
            refiner of whole blocks before one of frames.
    """

    def __init__(
        self,
        criterion: Distance,
        refiners: Sequence[Refiner],
        *,
        tau_short: float | None = None,
        tau_long: float | None = None,
        block_frames: int,
        reference: LongReference = "kept",
        whole_first_frames: int | None = None,
        adaptive: AdaptiveThresholds | None = None,
        long_criterion: Distance | None = None,
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
        of_blocks = [refiner.of_blocks for refiner in refiners]
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
        self.reference: LongReference = reference
        self.whole_first_frames = block_frames if whole_first_frames is None else max(whole_first_frames, 1)
        self._threshold_stage: int | None = None  # index of the refiner after which there is a mask
        self._incoming: Tensor | None = None  # features of a block that is not complete
        self._scene: _Scene | None = None  # None until the first block has come
        self._flushed = False

    @property
    def future_frames(self) -> int:
        """How many frames the refiners look ahead: masks come that much later than the source."""
        return sum(stage.refiner.future_frames for stage in self.stages)

    @property
    def frames_waiting(self) -> int:
        """How many frames are stored until their mask is final; those of an incomplete block are not counted."""
        return 0 if self._scene is None else self._scene.undecided.shape[0]

    def push(self, features: Features) -> list[DecidedBlock]:
        """Take the next source frames of the scene; give the blocks whose masks are now final, in order.

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
        if self._scene is None:
            return decided
        for index, stage in enumerate(self.stages):
            rest = stage.flush()
            if rest is not None:
                self._refine(self._scene, self._after_stage(self._scene, index, rest), index + 1)
        return decided + self._decide_blocks(self._scene)

    def settle(self, block: DecidedBlock, keep_mask: KeepMask, origins: TokenOrigins | None = None) -> None:
        """Report the mask that is used for the block decided last, where it is not the one given here.

        Later blocks are then compared with what that mask shows, its pruned tokens coming from their `origins`.
        """
        scene = self._scene
        if scene is not None and block.index == scene.blocks_decided - 1:
            scene.long_term.replaced(block.features, keep_mask, origins)

    def _take_block(self, block: Features) -> list[DecidedBlock]:
        if self._scene is None:
            scene = self._scene = self._begin_scene(block)
            current, previous = block[1:], block[:-1]  # the first frame has nothing to be compared with
        else:
            scene = self._scene
            current, previous = block, torch.cat([scene.last_frame[None], block[:-1]])
            scene.undecided = torch.cat([scene.undecided, block])
            scene.last_frame = block[-1]
        if current.shape[0]:
            raw = self.criterion(current, previous)
            tau_short: float | Tensor | None = self.tau_short
            tau_long: float | Tensor = self.tau_long
            if self.adaptive is not None:
                tau_short, tau_long = self.adaptive.of_block(raw)
            assert tau_short is not None
            self._refine(scene, _unrefined(raw, tau_short, tau_long), 0)
        return self._decide_blocks(scene)

    def _begin_scene(self, block: Features) -> "_Scene":
        long_term: LongTermReference
        if self.reference == "kept":
            # the first frames are kept in full, so what they show is known however late their masks come
            known = min(self.whole_first_frames, block.shape[0])
            long_term = KeptReference(self.long_criterion, block[known - 1])
        else:
            long_term = ThresholdedReference(self.long_criterion, block[0], self.block_frames)
        nothing = torch.zeros(block.shape[:-1], device=block.device)[:1]
        first_frame = _unrefined(nothing, 0.0, 0.0, keep=torch.ones_like(nothing, dtype=torch.bool))
        return _Scene(long_term=long_term, last_frame=block[-1], undecided=block, refined=first_frame)

    def _refine(self, scene: "_Scene", change: Change, first_stage: int) -> None:
        for index in range(first_stage, len(self.stages)):
            refined = self.stages[index].push(change)
            if refined is None:
                return
            change = self._after_stage(scene, index, refined)
        if change.keep is None:
            raise ValueError(
                "the refiners make no mask; put 'gaussian-threshold' or 'threshold' among them, "
                f"got {self._refiner_names or 'none'}"
            )
        scene.refined = change if scene.refined is None else join_changes(scene.refined, change)

    def _after_stage(self, scene: "_Scene", index: int, change: Change) -> Change:
        """Apply the long-term test after the first refiner that gives a mask."""
        if change.keep is not None and self._threshold_stage is None:
            self._threshold_stage = index
        if index != self._threshold_stage:
            return change
        first = scene.frames_tested
        scene.frames_tested += change.frames
        if not isinstance(change.tau_long, Tensor) and math.isinf(change.tau_long):
            return change
        features = scene.undecided[first - scene.frames_decided :][: change.frames]
        return scene.long_term.test(change, features, first)

    def _decide_blocks(self, scene: "_Scene") -> list[DecidedBlock]:
        """Give the blocks whose frames are all refined; at the end of the scene also a shorter one."""
        decided: list[DecidedBlock] = []
        least = 1 if self._flushed else self.block_frames
        while scene.refined is not None and scene.refined.frames >= least:
            block = scene.refined.inner(0, max(scene.refined.frames - self.block_frames, 0))
            frames = block.frames
            features = scene.undecided[:frames]
            keep_mask = self._final_mask(block, whole=max(self.whole_first_frames - scene.frames_decided, 0))
            scene.long_term.decided(features, keep_mask)
            decided.append(
                DecidedBlock(
                    index=scene.blocks_decided,
                    first_frame=scene.frames_decided,
                    keep_mask=keep_mask,
                    features=features,
                    distance=block.raw,
                )
            )
            rest = scene.refined.inner(frames, 0)
            scene.refined = rest if rest.frames else None
            scene.undecided = scene.undecided[frames:]
            scene.frames_decided += frames
            scene.blocks_decided += 1
        return decided

    def _final_mask(self, block: Change, whole: int) -> KeepMask:
        """The mask of a block: its first `whole` frames kept, then what the refiners of blocks make of it."""
        assert block.keep is not None
        if whole:
            kept_whole = torch.ones_like(block.keep[:whole])
            block = attrs.evolve(block, keep=torch.cat([kept_whole, block.keep[whole:]]))
        for refiner in self.block_refiners:
            block = refiner(block)
        assert block.keep is not None
        if self.adaptive is not None:
            self.adaptive.observe(block.keep[whole:])
        return block.keep


@attrs.define(eq=False, kw_only=True)
class _Scene:
    """State of a mask stream in its scene, once the first block has come."""

    long_term: LongTermReference
    last_frame: Tensor
    """Features of the latest frame."""
    undecided: Tensor
    """Features of the frames without a final mask."""
    refined: Change | None
    """Refined frames that do not fill a block yet."""
    frames_tested: int = 1
    """Frames past the threshold; the first one has nothing to test."""
    frames_decided: int = 0
    blocks_decided: int = 0


def _unrefined(
    raw: Tensor, tau_short: float | Tensor, tau_long: float | Tensor, keep: Tensor | None = None
) -> Change:
    return Change(
        distance=raw,
        raw=raw,
        long_term=torch.zeros_like(raw),
        keep=keep,
        tau_short=tau_short,
        tau_long=tau_long,
    )


def clip_mask(
    features: Features,
    criterion: Distance,
    refiners: Sequence[Refiner],
    *,
    tau_short: float | None = None,
    tau_long: float | None = None,
    block_frames: int,
    reference: LongReference = "kept",
    whole_first_frames: int | None = None,
    adaptive: AdaptiveThresholds | None = None,
    long_criterion: Distance | None = None,
) -> KeepMask:
    """The mask of a whole scene in one call; arguments as for `MaskStream`."""
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
