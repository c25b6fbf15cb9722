"""An estimate of memory as a table, and as a warning."""

import warnings
from collections.abc import Iterator

from lipar.memory.free import free_bytes
from lipar.memory.needs import GIB, PHASES, MemoryRun
from lipar.memory.switches import MemoryEstimate, Switch, estimate_memory
from lipar.protocols import StreamingAdapter

_WIDTH = 40


class MemoryWarning(UserWarning):
    """A run will probably not fit into memory."""


def warn_of_memory(adapter: StreamingAdapter, run: MemoryRun) -> None:
    """Warn, before anything is loaded, where a run is about to take more memory than is free.

    Args:
        adapter: not loaded.
        run: what will be run.

    Raises:
        FileNotFoundError: files that would be loaded are missing.
        ValueError: they are not of a model, or options do not fit together.

    Warns:
        MemoryWarning: with the terms, what is free, and which settings save how much.
    """
    plenty, free = adapter.memory_plenty(run), free_bytes(run.device)
    if plenty is not None and free is not None and free >= plenty:
        return
    try:
        estimate = estimate_memory(adapter, run)
    except (OSError, ValueError):  # what loading would raise
        raise
    except Exception as error:  # a run that may well fit must not end here
        warnings.warn(
            f"the memory of the run could not be estimated: {type(error).__name__}: {error}",
            MemoryWarning,
            stacklevel=3,
        )
        return
    if estimate is not None and not estimate.fits:
        warnings.warn(warning_text(estimate), MemoryWarning, stacklevel=3)


def warning_text(estimate: MemoryEstimate) -> str:
    """Why a run will not fit and what would help, in a line."""
    parts = []
    if estimate.free is not None and estimate.needed > estimate.free:
        parts.append(_lack(estimate, estimate.needed, estimate.free, str(estimate.device), on_host=False))
    elif estimate.host_free is not None:
        parts.append(_lack(estimate, estimate.host_needed, estimate.host_free, "the CPU", on_host=True))
    if estimate.switches:
        named = (
            f"{switch.text} (saves {_gib(switch.saved)}{_verdict(switch)})" for switch in estimate.switches
        )
        parts.append(f"what makes it smaller: {', '.join(named)}")
    if estimate.enough:
        parts.append(f"it fits with {' '.join(estimate.enough)} together")
    return "; ".join(parts)


def _lack(estimate: MemoryEstimate, needed: int, free: int, where: str, *, on_host: bool) -> str:
    needs = estimate.needs
    both = None if estimate.device.type == "cpu" else on_host
    phase = max(PHASES, key=lambda each: needs.total(each, on_host=both))
    terms = sorted(
        (
            term
            for term in needs.terms
            if phase in term.phases and (both is None or term.on_host == both) and term.bytes >= GIB / 100
        ),
        key=lambda term: -term.bytes,
    )
    listed = ", ".join(f"{term.name} {term.bytes / GIB:.1f}" for term in terms)
    return f"about {needed / GIB:.1f} GiB are needed on {where} and {free / GIB:.1f} are free: {listed or 'weights'}"


def _verdict(switch: Switch) -> str:
    return "; it then fits" if switch.fits else ""


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB"


def table(estimate: MemoryEstimate) -> list[str]:
    """The terms by phase in GiB, what is free, and what makes the run smaller."""
    return [*_terms(estimate), "", *_switches(estimate)]


def _terms(estimate: MemoryEstimate) -> Iterator[str]:
    needs, on_cpu = estimate.needs, estimate.device.type == "cpu"
    width, height = needs.size
    yield f"{f'GiB at {width}x{height} pixels':<{_WIDTH}}" + "".join(f"{phase:>10}" for phase in PHASES)
    places: list[tuple[bool | None, str, int | None]] = [(None, str(estimate.device), estimate.free)]
    if not on_cpu:
        places = [(False, str(estimate.device), estimate.free), (True, "the CPU", estimate.host_free)]
    for on_host, where, free in places:
        shown = [term for term in needs.terms if on_host is None or term.on_host == on_host]
        if not shown:
            continue
        for term in shown:
            cells = (f"{term.bytes / GIB:10.2f}" if phase in term.phases else f"{'':>10}" for phase in PHASES)
            yield f"{term.name:<{_WIDTH}}" + "".join(cells).rstrip()
        totals = "".join(f"{needs.total(phase, on_host=on_host) / GIB:10.2f}" for phase in PHASES)
        yield f"{f'needed on {where}':<{_WIDTH}}{totals}"
        known = "not known" if free is None else f"{free / GIB:.2f}"
        yield f"{f'free on {where}':<{_WIDTH}}{known:>10}"


def _switches(estimate: MemoryEstimate) -> Iterator[str]:
    yield "it fits" if estimate.fits else "it will probably not fit"
    for switch in estimate.switches:
        verdict = "" if estimate.fits else _verdict(switch)
        yield f"  {switch.text:<44} saves {_gib(switch.saved):>10}  ({switch.cost}{verdict})"
    if estimate.enough:
        yield f"  it fits with all of: {' '.join(estimate.enough)}"
