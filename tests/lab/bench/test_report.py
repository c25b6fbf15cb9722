"""The JSON file of a bench run."""

import json

import pytest

from lipar.speedup import paired_ratio
from lipar_lab.bench.report import to_json


def test_a_ratio_is_written_with_its_spread(tmp_path):
    to_json({"a": [paired_ratio([2.0, 3.0], [1.0, 1.0])], "b": None}, tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text()) == {
        "a": [{"median": 2.5, "low": 2.0, "high": 3.0, "pairs": 2}],
        "b": None,
    }


def test_a_value_that_json_cannot_store_is_refused_and_the_file_stays(tmp_path):
    path = tmp_path / "bench.json"
    to_json({"a": 1}, path)
    with pytest.raises(TypeError, match="set cannot be stored in the results"):
        to_json({"a": {1}}, path)
    assert json.loads(path.read_text()) == {"a": 1}
