"""Manifests: three formats, one table; what is wrong is named with file, line and column."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lipar.batch.manifest import ManifestError, is_manifest, read_manifest

LINES = [
    {"clip": "a.mp4", "prompt": "night", "seed": 3, "prune.keep": 0.5},
    {"clip": "b,c.mp4", "prompt": "a\nb"},
]


def write(path: Path) -> Path:
    if path.suffix == ".csv":
        path.write_text('clip,prompt,seed,prune.keep\na.mp4,night,3,0.5\n\n"b,c.mp4","a\nb",,\n', "utf-8-sig")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(["", *map(json.dumps, LINES), ""]))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = {key: [line.get(key) for line in LINES] for key in LINES[0]}
        # as pandas writes whole numbers with gaps
        columns["seed"] = [3.0, float("nan")]
        parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
def test_the_three_formats_give_the_same_lines(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    first, second = read_manifest(path)
    assert is_manifest(path)
    assert {key: str(value) for key, value in first.cells.items()} == {
        key: str(value) for key, value in LINES[0].items()
    }
    assert second.cells == LINES[1]
    line = {"m.csv": 2, "m.jsonl": 2, "m.parquet": 1}[name]
    assert first.where == f"{path}, line {line}"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.csv", "clip,prompt\na.mp4\n", "m.csv, line 2: has 1 cells, and the first line names 2 columns"),
        ("m.csv", 'clip\n"a\n', "m.csv, line 2: unexpected end of data"),
        ("m.csv", "prompt\nnight\n", "m.csv, line 1, column clip: is missing"),
        ("m.csv", "clip,clip\na,b\n", "m.csv, line 1, column clip: the first line names a column twice"),
        ("m.csv", "clip,\na,b\n", "m.csv, line 1, column 2: the first line has a column without a name"),
        ("m.csv", "clip,promt\na,b\n", "line 2, column 'promt': is not known; .* did you mean 'prompt'?"),
        ("m.csv", "clip,prompt\n,night\n", "m.csv, line 2, column clip: is empty"),
        ("m.csv", "clip\n", "has no line"),
        ("m.csv", "", "m.csv, line 1, column clip: is missing"),
        ("m.jsonl", "{}\n", "m.jsonl, line 1, column clip: is empty"),
        ("m.jsonl", '\n["a"]\n', "m.jsonl, line 2: must be an object"),
        ("m.jsonl", "{\n", "m.jsonl, line 1: is no JSON"),
        ("m.jsonl", '{"clip": 3}\n', "m.jsonl, line 1, column clip: must be text, got 3"),
        ("m.parquet", "no", "m.parquet is no Parquet"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path / name)


def test_a_missing_manifest_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"m\.csv cannot be read: .*No such file"):
        read_manifest(tmp_path / "m.csv")


def test_reading_a_manifest_does_not_wait_for_torch() -> None:
    code = "import sys, lipar.batch.planning, lipar.batch.manifest, lipar.cli.batch; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
