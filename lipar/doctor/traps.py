"""Known traps: settings and releases with which lipar runs, but badly, or not as one expects."""

import os
from collections.abc import Iterator, Mapping

from lipar.doctor.finding import Finding

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def check_traps() -> Iterator[Finding]:
    """Those that this machine is in."""
    import torch

    from lipar.watch.slow_convolutions import convolutions_are_slow

    slow = torch.cuda.is_available() and convolutions_are_slow(torch.device("cuda"), torch.bfloat16)
    findings = [convolution_finding(torch.__version__, slow=slow), *offline_findings(os.environ)]
    findings.append(thread_finding(torch.get_num_threads(), cores(), os.environ))
    trapped = [finding for finding in findings if finding.state != "ok"]
    yield from trapped or [Finding("none", "ok", f"{len(findings)} looked for")]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def convolution_finding(release: str, *, slow: bool) -> Finding:
    """PyTorch 2.9, whose 3D convolutions in bfloat16 are slow on a GPU.

    Args:
        release: of PyTorch.
        slow: whether it is one of those, on a GPU.
    """
    name = "3D convolutions"
    if not slow:
        return Finding(name, "ok", f"fast in torch {release}")
    return Finding(
        name,
        "warning",
        f"torch {release} computes them in bfloat16 without cuDNN, so that Wan's autoencoder takes many times as long",
        "install torch 2.10 or later, or 2.9.1 with cuDNN 9.15",
    )


def offline_findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that keep the hub's client offline.

    Args:
        environment: variables by name.
    """
    for name in OFFLINE:
        if environment.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            yield Finding(
                name, "note", "is set, so `lipar models fetch` fetches nothing", f"unset {name} to fetch"
            )
        else:
            yield Finding(name, "ok", "not set")


def thread_finding(threads: int, cores: int, environment: Mapping[str, str]) -> Finding:
    """Threads of PyTorch against the cores of this process.

    Args:
        threads: that PyTorch computes with.
        cores: that this process may use.
        environment: variables by name.
    """
    name, given = "OpenMP threads", environment.get("OMP_NUM_THREADS")
    by = f" (OMP_NUM_THREADS={given})" if given else ""
    if threads > cores:
        text = f"{threads} on {cores} cores{by}; they wait for each other"
        return Finding(name, "warning", text, f"set OMP_NUM_THREADS={cores}")
    if threads == 1 < cores:
        text = f"1 on {cores} cores{by}; on a CPU an edit takes longer than it must"
        return Finding(
            name, "note", text, f"set OMP_NUM_THREADS={cores}, unless other programs need the rest"
        )
    return Finding(name, "ok", f"{threads} on {cores} cores{by}")
