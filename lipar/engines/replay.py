"""Passes that are recorded once for each size, and replayed for every later block of that size.

A recorded pass reads fixed memory. So the tensors that a block's passes read (indices and rotations, see
`BlockContext.tensors`) are copied into those of the block for which the size was first recorded, and the latents and
the timestep into buffers. Everything else that a pass depends on is its key: the same key means that the recording
does what the pass would do.

    signature of the context   sizes, rows of the KV cache, what the recovery decided
    kind of pass               denoise step or clean pass, whether donors are written
    key of the noise source    its state in Python
    key of the model           its weights, hooks and prompt

The first pass with a key runs eagerly, which also loads its kernels and compiles its layers; only if it left the state
of the noise source as it was, the second one is recorded.
"""

from collections.abc import Callable, Hashable, Sequence

import attrs
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lipar.attention.block import BlockContext
from lipar.engines.recording import Recorder, Recording
from lipar.model import ForwardPass, PassDone, ReplayableModel
from lipar.types import Latents

MOST_RECORDINGS = 256
"""Recordings of a run at most; a run that would need more has sizes that do not come again."""
MOST_KEYS = 4096
"""Keys that are remembered until they come again, at most."""


def until_done(run: Callable[[], Latents], latents: Latents) -> Latents:
    """The flow that a model computes; zeros if the pass ends before, since its flow is not used (`PassDone`).

    Args:
        run: computes it.
        latents: of the size of the flow.
    """
    try:
        return run()
    except PassDone:
        return torch.zeros_like(latents)


@attrs.define(eq=False)
class Slot:
    """The fixed memory that the recordings of one size read."""

    context: BlockContext
    """Like that of the block for which the size was first recorded, with tensors of its own."""
    latents: Tensor
    timestep: Tensor
    loaded: BlockContext
    """The block whose tensors are in that memory."""

    @classmethod
    def of(cls, context: BlockContext, latents: Latents) -> "Slot":
        """The slot of a size that is recorded for the first time."""
        timestep = torch.zeros((), dtype=torch.float32, device=latents.device)
        return cls(context.with_own_tensors(), latents.clone(), timestep, context)

    def load(self, context: BlockContext, latents: Latents, forward_pass: ForwardPass) -> None:
        """Copy what a pass reads into the slot's memory."""
        if self.loaded is not context:
            _overwrite(self.context.tensors(), context.tensors())
            self.loaded = context
        self.latents.copy_(latents)
        self.timestep.fill_(forward_pass.timestep)


def _overwrite(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors into others of the same sizes; those of one type in one launch."""
    for dtype in {target.dtype for target in targets}:
        pairs = [pair for pair in zip(targets, sources, strict=True) if pair[0].dtype == dtype]
        torch._foreach_copy_([target for target, _ in pairs], [source for _, source in pairs])


@attrs.define(eq=False)
class Replay:
    """Runs passes eagerly, records them and replays them.

    Args:
        model: what is run.
        recorder: makes the recordings.
    """

    model: ReplayableModel
    recorder: Recorder
    counts: dict[str, int] = attrs.field(init=False)
    """Passes so far: `eager`, `recorded` (and then replayed) and `replayed`."""
    reasons: list[str] = attrs.field(factory=list, init=False)
    """Why passes ran eagerly that could have been replayed otherwise, each reason once."""
    _slots: dict[Hashable, Slot] = attrs.field(factory=dict, init=False)
    _recordings: dict[Hashable, Recording] = attrs.field(factory=dict, init=False)
    _steady: set[Hashable] = attrs.field(factory=set, init=False)
    """Keys whose pass ran eagerly and left the noise source's state as it was."""
    _checked: BlockContext | None = attrs.field(default=None, init=False)
    """The last block."""
    _hooks_registered: int = attrs.field(default=-1, init=False)
    """Hooks registered on any module when the model was last asked whether it can be replayed."""
    _refused: bool = attrs.field(default=False, init=False)
    """What it answered."""

    @counts.default
    def _no_passes(self) -> dict[str, int]:
        return {"eager": 0, "recorded": 0, "replayed": 0}

    def forward(self, latents: Latents, forward_pass: ForwardPass, context: BlockContext) -> Latents:
        """The model's flow in the pass that the context has begun; a new tensor."""
        size = self._size(latents, context)
        key = None if size is None else (size, context.kind_of_pass, context.noise_key())
        if key is None or (key not in self._recordings and key not in self._steady):
            flow = self._eager(latents, forward_pass, context)
            if key is not None and context.noise_key() == key[2]:
                if (
                    len(self._steady) >= MOST_KEYS
                ):  # sizes that do not come again, as of a window without limit
                    self._steady.clear()
                self._steady.add(key)
            return flow
        slot = self._slots.get(size)
        if slot is None:
            slot = self._slots[size] = Slot.of(context, latents)
        slot.load(context, latents, forward_pass)
        recording = self._recordings.get(key)
        if recording is None:
            if len(self._recordings) >= MOST_RECORDINGS:
                self._note(f"more than {MOST_RECORDINGS} kinds and sizes of passes; set the refiner 'bucket'")
                return self._eager(latents, forward_pass, context)
            recording = self._recordings[key] = self._record(slot, context)
            self.counts["recorded"] += 1
        else:
            self.counts["replayed"] += 1
        flow = recording.replay().clone()
        if forward_pass.clean:
            self._ask_model()  # while the device is busy with that pass
        return flow

    def _eager(self, latents: Latents, forward_pass: ForwardPass, context: BlockContext) -> Latents:
        self.counts["eager"] += 1
        return until_done(lambda: self.model.forward(latents, forward_pass, context), latents)

    def _record(self, slot: Slot, context: BlockContext) -> Recording:
        kind = context.kind_of_pass
        forward_pass = context.forward_pass

        def run() -> Tensor:
            # what the pass does is fixed by its kind; the slot's own block may have been in another one since
            slot.context.resume_pass(forward_pass, kind)
            with torch.no_grad():
                return until_done(
                    lambda: self.model.flow(slot.latents, slot.timestep, slot.context), slot.latents
                )

        return self.recorder.record(run)

    def _size(self, latents: Latents, context: BlockContext) -> Hashable | None:
        """The key of everything but the kind of pass and the noise source; None: the pass cannot be recorded."""
        signature = context.signature
        if signature is None:
            self._note(context.why_not_recorded)
            return None
        if context.noise_key() is None:
            self._note("the noise source keeps a state that a recording cannot (`replay_key`)")
            return None
        if self._checked is not context:
            self._checked = context
            if self._hooks_registered != RemovableHandle.next_id or self._refused:
                self._ask_model()
        model = None if self._refused else self.model.replay_key()
        return None if model is None else (signature, model, tuple(latents.shape), latents.dtype)

    def _ask_model(self) -> None:
        """Ask the model whether it can be replayed, which looks at every module.

        At the end of each block, and at the begin of one before which a hook was registered.
        """
        self._hooks_registered = RemovableHandle.next_id
        reason = self.model.why_not_replayed()
        self._refused = reason is not None
        if reason is not None:
            self._note(reason)

    def _note(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)
