"""What a run needs, what there is, and which settings make it fit: each is tried on the run's own adapter."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch

from lipar.config import PartConfig
from lipar.memory.free import CPU, free_bytes
from lipar.memory.needs import MemoryNeeds, MemoryRun, OptionSwitch
from lipar.protocols import StreamingAdapter

SMALL_NOISE_SOURCE = "step-shift"
"""The default noise source, which stores means alone."""
LEAST_GAIN = 2**20
"""Bytes; settings that save less are not named."""

_Case = tuple[StreamingAdapter, MemoryRun]


@attrs.frozen(kw_only=True)
class Switch:
    """A setting that makes a run smaller."""

    text: str
    """As it is typed."""
    cost: str
    """What it costs, in a few words."""
    saved: int
    """Bytes less at the peak."""
    fits: bool
    """Whether the run fits with it alone."""


@attrs.frozen(kw_only=True)
class MemoryEstimate:
    """What a run needs and what there is, in bytes."""

    device: torch.device
    needs: MemoryNeeds
    free: int | None
    """On the device; None: not known."""
    host_free: int | None
    """In the memory of the CPU; None: not known."""
    switches: tuple[Switch, ...] = ()
    """Those that save something, the largest gain first."""
    enough: tuple[str, ...] = ()
    """Several that make it fit together, where none does alone."""

    @property
    def needed(self) -> int:
        """On the device, at the peak."""
        return self.needs.peak(on_host=None if self.device.type == "cpu" else False)

    @property
    def host_needed(self) -> int:
        """In the memory of the CPU, at the peak."""
        return self.needs.peak(on_host=None if self.device.type == "cpu" else True)

    @property
    def fits(self) -> bool:
        """Whether there is enough of both, as far as that is known."""
        return _is_in(self.needed, self.free) and _is_in(self.host_needed, self.host_free)


def _is_in(needed: int, free: int | None) -> bool:
    return free is None or needed <= free


@attrs.frozen
class _Candidate:
    text: str
    cost: str
    change: Callable[[_Case], _Case]


def estimate_memory(
    adapter: StreamingAdapter, run: MemoryRun, *, with_switches: bool | None = None
) -> MemoryEstimate | None:
    """The memory of a run before anything is loaded; None where the adapter does not know.

    Args:
        adapter: not loaded.
        run: what will be run.
        with_switches: try out what makes it smaller; None: where it does not fit.

    Raises:
        FileNotFoundError: files that would be loaded are missing.
        ValueError: they are not of a model, or options do not fit together.
    """
    needs = adapter.memory_needs(run)
    if needs is None:
        return None
    estimate = _estimate(needs, run)
    if with_switches or (with_switches is None and not estimate.fits):
        return _with_switches(estimate, (adapter, run))
    return estimate


def _estimate(needs: MemoryNeeds, run: MemoryRun) -> MemoryEstimate:
    return MemoryEstimate(
        device=run.device, needs=needs, free=free_bytes(run.device), host_free=free_bytes(CPU)
    )


def _with_switches(estimate: MemoryEstimate, case: _Case) -> MemoryEstimate:
    tried = []
    for candidate in _candidates(estimate.needs, case):
        changed = _tried(candidate, case)
        if changed is not None and estimate.needed - changed.needed >= LEAST_GAIN:
            tried.append((candidate, changed))
    tried.sort(key=lambda pair: pair[1].needed)
    switches = [
        Switch(
            text=candidate.text,
            cost=candidate.cost,
            saved=estimate.needed - changed.needed,
            fits=changed.fits,
        )
        for candidate, changed in tried
    ]
    enough: tuple[str, ...] = ()
    if not estimate.fits and not any(switch.fits for switch in switches):
        enough = _together([candidate for candidate, _ in tried], estimate, case)
    return attrs.evolve(estimate, switches=tuple(switches), enough=enough)


def _tried(candidate: _Candidate, case: _Case) -> MemoryEstimate | None:
    try:
        adapter, run = candidate.change(case)
        needs = adapter.memory_needs(run)
    except ValueError:  # it does not fit the other options
        return None
    return None if needs is None else _estimate(needs, run)


def _together(candidates: list[_Candidate], estimate: MemoryEstimate, case: _Case) -> tuple[str, ...]:
    """Switches that make a run fit, one after the other, each only if it saves something after those before."""
    taken: list[str] = []
    needed = estimate.needed
    for candidate in candidates:
        changed = _tried(candidate, case)
        if changed is None or needed - changed.needed < LEAST_GAIN:
            continue
        taken.append(candidate.text)
        if changed.fits:
            return tuple(taken)
        case, needed = candidate.change(case), changed.needed
    return ()


def _candidates(needs: MemoryNeeds, case: _Case) -> Iterator[_Candidate]:
    adapter, run = case
    for switch in adapter.memory_switches(run):
        yield _Candidate(switch.text, switch.cost, _of_adapter(switch))
    if run.dtype == torch.float32 and run.device.type == "cuda":
        yield _Candidate("--dtype bfloat16", "rounding", _of_run(dtype=torch.bfloat16))
    width, height = (max(2, side * 3 // 4 // needs.token) * needs.token for side in needs.size)
    yield _Candidate(f"--resolution {width}x{height}", "fewer pixels", _of_run(resolution=(width, height)))
    config, window = run.config, 2 * needs.block_frames
    if not needs.window_frames or needs.window_frames > window:
        cache = attrs.evolve(config.cache, window_frames=window)
        yield _Candidate(
            f"--set cache.window_frames={window}",
            "less context",
            _of_run(config=attrs.evolve(config, cache=cache)),
        )
    if config.noise.name != SMALL_NOISE_SOURCE:
        noise = PartConfig(SMALL_NOISE_SOURCE, {})
        yield _Candidate(
            f"--set noise={SMALL_NOISE_SOURCE}",
            "the default noise source",
            _of_run(config=attrs.evolve(config, noise=noise)),
        )


def _of_adapter(switch: OptionSwitch) -> Callable[[_Case], _Case]:
    def change(case: _Case) -> _Case:
        adapter: Any = case[0]  # of an attrs class, whose fields are its options
        return attrs.evolve(adapter, **{switch.option: switch.value}), case[1]

    return change


def _of_run(**changes: Any) -> Callable[[_Case], _Case]:
    return lambda case: (case[0], attrs.evolve(case[1], **changes))
