"""Running a pass again without Python: as a CUDA graph, or (to test what surrounds it) by calling it again."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Recording(Protocol):
    """A pass that can be run again; it reads and writes the same memory every time."""

    def replay(self) -> Tensor:
        """Run it; the result is overwritten by the next replay of any recording."""
        ...


@runtime_checkable
class Recorder(Protocol):
    """Records passes."""

    def record(self, run: Callable[[], Tensor]) -> Recording:
        """Record a pass without running it."""
        ...


class CudaRecorder:
    """Records CUDA graphs, which share one pool of memory, since they are replayed one after the other.

    Args:
        device: of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)

    def record(self, run: Callable[[], Tensor]) -> "CudaRecording":
        """Capture a pass; what it allocates comes from the pool, and its kernels were loaded by an earlier run."""
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            # other threads may go on allocating and copying while this one records
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                result = run()
            finally:
                graph.capture_end()
        current.wait_stream(self._stream)
        return CudaRecording(graph, result, run)


class CudaRecording:
    """A CUDA graph and its result, and the pass, which keeps alive what the graph reads."""

    def __init__(self, graph: torch.cuda.CUDAGraph, result: Tensor, run: Callable[[], Tensor]) -> None:
        self._graph, self._result, self._run = graph, result, run

    def replay(self) -> Tensor:
        """Launch the graph on the current stream."""
        self._graph.replay()
        return self._result


class CallRecorder:
    """Records the call itself: with it, everything around CUDA graphs runs, and is tested, without a GPU."""

    def record(self, run: Callable[[], Tensor]) -> "CallRecording":
        """Keep the call."""
        return CallRecording(run)


class CallRecording:
    """A call that is made again in every replay."""

    def __init__(self, run: Callable[[], Tensor]) -> None:
        self.replay = run
