"""The cells as a table in a file."""

import csv
from pathlib import Path

import pytest

from lipar_lab.ablation.export import flat, write_csv, write_parquet

CELLS = [
    {
        "what": "cell",
        "clip": 0,
        "row": "paper",
        "settings": ["a=1", "b=2"],
        "at": {"window": "full"},
        "psnr_pixel": 30.5,
        "metrics": {"ssim": 0.5},
    },
    {"what": "cell", "clip": 1, "row": "dense", "settings": [], "at": {}, "psnr_pixel": None, "metrics": {}},
]


def test_metrics_and_axes_get_columns_of_their_own() -> None:
    assert flat(CELLS[0]) == {
        "clip": 0,
        "row": "paper",
        "settings": "a=1;b=2",
        "axis window": "full",
        "psnr_pixel": 30.5,
        "ssim": 0.5,
    }


def test_a_csv_has_every_cell_and_nothing_where_nothing_is_known(tmp_path: Path) -> None:
    write_csv(tmp_path / "cells.csv", CELLS)
    with (tmp_path / "cells.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first["ssim"] == "0.5" and first["axis window"] == "full"
    assert second["ssim"] == second["psnr_pixel"] == "" and second["row"] == "dense"


def test_parquet_has_the_same_columns_with_their_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet(tmp_path / "cells.parquet", CELLS)
    table = parquet.read_table(tmp_path / "cells.parquet")
    assert table.column("psnr_pixel").to_pylist() == [30.5, None]
    assert table.column("clip").to_pylist() == [0, 1]
    assert table.column("ssim").to_pylist() == [0.5, None]
