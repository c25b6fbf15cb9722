"""The engines by name, and which of them a run takes by itself.

    engine     layers     a pass                             keys and values are written
    eager      as loaded  launched operation by operation    by PyTorch
    compiled   compiled   likewise                           by the kernels of `lipar.attention.kernels`
    graphs     compiled   recorded once for each size,       by the kernels
                          then replayed as a CUDA graph

`auto` takes `graphs` on an NVIDIA GPU where the model can be recorded, and `eager` elsewhere.
"""

import time
from typing import Any

import torch

from lipar.attention.block import BlockContext
from lipar.attention.kernels import has_triton
from lipar.config import ENGINES, ConfigError
from lipar.engines.recording import CudaRecorder, Recorder
from lipar.engines.replay import Replay, until_done
from lipar.model import CompilableModel, ForwardPass, Model, ReplayableModel
from lipar.types import Latents


class Engine:
    """Runs the passes of a model eagerly.

    Args:
        model: a loaded model.
        why: why this engine was chosen, for the summary of a run.
    """

    name = "eager"
    fused = False
    """Whether keys and values are written by the kernels of `lipar.attention.kernels`."""
    ends_early = True
    """Whether the clean pass ends where the last layer has its keys and values, since its flow is not used."""

    def __init__(self, model: Model, why: str) -> None:
        self.model, self.why = model, why

    def forward(self, latents: Latents, forward_pass: ForwardPass, context: BlockContext) -> Latents:
        """Flow of the kept tokens of a block; zeros at pruned places, and everywhere in the clean pass.

        Args:
            latents: noisy latents of the block, clean ones in the clean pass.
            forward_pass: the pass.
            context: self-attention of the block.
        """
        self._set_layers(False)
        self._begin(forward_pass, context)
        return self._forward(latents, forward_pass, context)

    def _begin(self, forward_pass: ForwardPass, context: BlockContext) -> None:
        context.begin_pass(forward_pass, flow_used=not (forward_pass.clean and self.ends_early))

    def _forward(self, latents: Latents, forward_pass: ForwardPass, context: BlockContext) -> Latents:
        return until_done(lambda: self.model.forward(latents, forward_pass, context), latents)

    def _set_layers(self, compiled: bool) -> None:
        # another run of this model may have used another engine
        if isinstance(self.model, CompilableModel):
            self.model.use_compiled_layers(compiled)

    def summary(self) -> str:
        """What ran, and why, in a line."""
        return f"{self.name} ({self.why})"


class CompiledEngine(Engine):
    """Compiles the model's layers in the first pass; they fit all numbers of kept tokens.

    Args:
        model: a loaded model.
        why: why this engine was chosen.
        falls_back: run eagerly where compiling fails, instead of raising the error.
    """

    name = "compiled"
    fused = True

    def __init__(self, model: CompilableModel, why: str, *, falls_back: bool = False) -> None:
        super().__init__(model, why)
        self._falls_back = falls_back
        self._compiles = True
        self.compile_seconds: float | None = None
        """Time of the first pass, in which the layers are compiled; None before it."""

    def forward(self, latents: Latents, forward_pass: ForwardPass, context: BlockContext) -> Latents:
        """As `Engine.forward`; the first call compiles."""
        self._set_layers(self._compiles)
        self._begin(forward_pass, context)
        if self.compile_seconds is not None or not self._compiles:
            return self._forward(latents, forward_pass, context)
        start = time.perf_counter()
        try:
            flow = self._forward(latents, forward_pass, context)
        except _compiler_errors() as error:
            if not self._falls_back:
                error.add_note("the layers could not be compiled; run with the engine 'eager'")
                raise
            self._compiles = False
            self.why += f"; its layers could not be compiled: {type(error).__name__}"
            self._set_layers(False)
            self._begin(forward_pass, context)
            return self._forward(latents, forward_pass, context)
        if flow.device.type == "cuda":
            torch.cuda.synchronize(flow.device)
        self.compile_seconds = time.perf_counter() - start
        return flow

    def summary(self) -> str:
        """What ran, and why, in a line, with the time of compiling."""
        seconds = (
            ""
            if self.compile_seconds is None
            else f"; first pass with compiling {self.compile_seconds:.1f} s"
        )
        return f"{super().summary()}{seconds}"


class GraphEngine(CompiledEngine):
    """Compiles the layers, and records and replays passes (`lipar.engines.replay`).

    Args:
        model: a loaded model.
        why: why this engine was chosen.
        recorder: makes the recordings; None: CUDA graphs.
        falls_back: as for `CompiledEngine`.
        compiles: whether to compile the layers.
    """

    name = "graphs"

    def __init__(
        self,
        model: ReplayableModel,
        why: str,
        *,
        recorder: Recorder | None = None,
        falls_back: bool = False,
        compiles: bool = True,
    ) -> None:
        super().__init__(model, why, falls_back=falls_back)
        self._compiles = compiles
        self.replay = Replay(model, recorder or CudaRecorder(model.device))

    def _forward(self, latents: Latents, forward_pass: ForwardPass, context: BlockContext) -> Latents:
        return self.replay.forward(latents, forward_pass, context)

    def summary(self) -> str:
        """What ran, and why, in a line, with the number of passes that were replayed, and why others were not."""
        counts = self.replay.counts
        passes = (
            f"; {counts['replayed']} passes replayed, {counts['recorded']} recorded, {counts['eager']} eager"
        )
        reasons = "".join(f"; not recorded: {reason}" for reason in self.replay.reasons)
        return f"{super().summary()}{passes}{reasons}"


def make_engine(model: Model, wanted: str) -> Engine:
    """The engine of a run.

    Args:
        model: a loaded model.
        wanted: one of `ENGINES`; `auto` takes `graphs` on an NVIDIA GPU where the model can be recorded, else `eager`.

    Raises:
        ConfigError: no engine of that name, or one that this model or its device cannot run.
    """
    if wanted not in ENGINES:
        raise ConfigError(f"run.engine: no engine named {wanted!r}; there are {', '.join(ENGINES)}")
    why_not = _why_no_graphs(model)
    if wanted == "auto":
        if why_not is None:
            assert isinstance(model, ReplayableModel)
            return GraphEngine(model, "chosen for an NVIDIA GPU", falls_back=True)
        return Engine(model, f"chosen since {why_not}")
    if wanted == "eager":
        return Engine(model, "as asked")
    if wanted == "compiled":
        why_not = _why_not_compiled(model)
        if why_not is not None:
            raise ConfigError(f"run.engine: 'compiled': {why_not}; take 'eager'")
        assert isinstance(model, CompilableModel)
        return CompiledEngine(model, "as asked")
    if why_not is not None:
        raise ConfigError(f"run.engine: 'graphs': {why_not}; take 'eager' or 'auto'")
    assert isinstance(model, ReplayableModel)
    return GraphEngine(model, "as asked")


def check_device(wanted: str, device: torch.device, why_eager: str | None = None) -> None:
    """Refuse an engine that cannot run on a device, before a model is loaded for it.

    Args:
        wanted: one of `ENGINES`.
        device: where the model will be.
        why_eager: why the layers of the model can neither be compiled nor recorded (`StreamingAdapter.why_eager`).

    Raises:
        ConfigError: it cannot run there, or not with this model.
    """
    if wanted in ("compiled", "graphs") and why_eager is not None:
        raise ConfigError(f"run.engine: {wanted!r}: {why_eager}; take 'eager' or 'auto'")
    if wanted == "graphs" and (why_not := _why_not_there(device)) is not None:
        raise ConfigError(f"run.engine: 'graphs': {why_not}; take 'eager' or 'auto'")


def why_no_graphs(device: torch.device) -> str | None:
    """Why no pass can be recorded on a device, whichever model is there; None: it can.

    Args:
        device: of the model.
    """
    return _why_not_there(device)


def _why_not_there(device: torch.device) -> str | None:
    if device.type != "cuda":
        return f"the model is on {device.type}, and CUDA graphs need an NVIDIA GPU"
    if torch.version.hip is not None or not has_triton():
        return "Triton is missing, which PyTorch's builds for NVIDIA GPUs bring along"
    return None


def _why_no_graphs(model: Model) -> str | None:
    why_not = _why_not_there(model.device)
    if why_not is not None:
        return why_not
    return _why_not_compiled(model) if isinstance(model, ReplayableModel) else _no_layers(model)


def _why_not_compiled(model: Model) -> str | None:
    if not isinstance(model, CompilableModel):
        return _no_layers(model)
    ask = getattr(model, "why_not_compiled", None)  # optional; see CompilableModel
    return None if ask is None else ask()


def _no_layers(model: Model) -> str:
    return f"{type(model).__name__} has no layers that lipar can compile and record"


def _compiler_errors() -> tuple[type[Exception], ...]:
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    errors: tuple[Any, ...] = (TorchDynamoException, InductorError)
    return errors
