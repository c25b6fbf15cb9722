"""The page of `lipar live` for a long time: memory of server, page and browser, and latency, stay as they are."""

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import psutil
import pytest
from live_page import LivePage, camera_browser, painted_toy
from live_server import live_server

MINUTES = float(os.environ.get("LIPAR_SOAK_MINUTES", "20"))
SAMPLES = 40
GROWTH = 1.15
"""The last quarter over the second one; the first one warms up."""


@attrs.frozen
class Sample:
    server: int
    browser: int
    heap: int
    latency: float


def browser_bytes() -> int:
    """Of all processes of the browser that this process began; what they share counts several times."""
    return sum(
        one.memory_info().rss for one in psutil.Process().children(recursive=True) if "chrom" in one.name()
    )


def sample(opened: LivePage, metrics: Any) -> Sample:
    metrics.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in metrics.send("Performance.getMetrics")["metrics"]}
    server = psutil.Process().memory_info().rss
    return Sample(server, browser_bytes(), found["JSHeapUsedSize"], opened.until_figure("latency"))


@pytest.mark.slow
def test_memory_and_latency_are_the_same_after_a_long_time(tmp_path: Path) -> None:
    with camera_browser(tmp_path) as browser, live_server(make_model=painted_toy) as server:
        opened = LivePage(browser, server.url).begin()
        metrics = opened.page.context.new_cdp_session(opened.page)
        metrics.send("Performance.enable")
        samples, end = [], time.monotonic() + 60 * MINUTES
        while time.monotonic() < end:
            opened.prompt("white" if len(samples) % 2 else "black")
            opened.page.wait_for_timeout(60_000 * MINUTES / SAMPLES)
            samples.append(sample(opened, metrics))
            assert opened.state() == "live"
        opened.close()
    quarter = len(samples) // 4
    for name in ("server", "browser", "heap", "latency"):
        values = [getattr(one, name) for one in samples]
        before, after = median(values[quarter : 2 * quarter]), median(values[-quarter:])
        print(f"{name}: {before:.4g} then {after:.4g}")
        assert after < (2 if name == "latency" else GROWTH) * before, (name, values)
