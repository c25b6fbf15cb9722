"""The section `profile`."""

import gzip
import json

from lipar_lab.bench.sections.profile import lines, profile_block


def test_a_profile_lists_the_most_expensive_operations_and_writes_a_trace(bench_model, tmp_path):
    trace = tmp_path / "trace.json.gz"
    figures = profile_block(bench_model, 0.5, trace)
    spent = [one["milliseconds"] for one in figures["top"]]
    assert len(spent) == 40 and spent == sorted(spent, reverse=True) and figures["kernels"] == 0
    assert lines(figures)[0].startswith("one step and clean pass at kept 0.50: 0 kernels")
    with gzip.open(trace) as file:
        names = {event["name"] for event in json.load(file)["traceEvents"]}
    assert {"denoise step", "clean pass"} <= names


def test_the_clean_pass_has_a_time_of_its_own(bench_model):
    figures = profile_block(bench_model, 0.5, None)
    assert {"DiT", "clean pass", "restore", "other"} == figures["stages"].keys()
    assert "clean pass" in lines(figures)[1] and "without the profiler" in lines(figures)[1]
    assert not {"denoise step", "clean pass"} & {one["name"] for one in figures["top"]}
