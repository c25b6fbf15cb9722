"""The section `memory`."""

import attrs

from lipar_lab.bench.sections.memory import MemoryCase, lines, measure_memory, run_case

CASE = MemoryCase(
    shape="toy",
    layers=2,
    device="cpu",
    dtype="float32",
    size=None,
    window="full",
    kept=1.0,
    frames=0,
)


def test_a_full_window_grows_with_the_video_and_a_trimmed_one_does_not(bench_model):
    rows = measure_memory(CASE, [9, 18], model=bench_model)["rows"]
    cache = {(row["frames"], row["window"], row["kept"]): row["cache_bytes"] for row in rows}
    assert len(cache) == 8
    assert cache[18, "full", 1.0] > 1.5 * cache[9, "full", 1.0]
    assert cache[18, "trimmed", 1.0] == cache[9, "trimmed", 1.0]
    assert all(row["peak_bytes"] > row["cache_bytes"] + row["model_bytes"] for row in rows)


def test_a_case_loads_its_own_model(bench_model):
    row = run_case(attrs.evolve(CASE, frames=9, window="trimmed", kept=0.68))
    again = measure_memory(CASE, [9], model=bench_model)["rows"][-1]
    assert {key: row[key] for key in ("cache_bytes", "model_bytes", "kept", "window", "frames")} == {
        key: again[key] for key in ("cache_bytes", "model_bytes", "kept", "window", "frames")
    }


def test_bytes_are_printed_in_gib():
    row = attrs.asdict(attrs.evolve(CASE, frames=9)) | {
        "cache_bytes": 2**30,
        "peak_bytes": 3 * 2**29,
        "model_bytes": 2**29,
    }
    title, _, line, weights = lines({"rows": [row]})
    assert "one denoise step and its clean pass" in title
    assert line.split() == ["9", "full", "1.00", "1.000", "1.500"]
    assert weights == "  of which weights 0.500 GiB"
