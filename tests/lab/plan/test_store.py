"""The file of calibrations."""

import json
import threading
from pathlib import Path

import attrs
import pytest
from plan_toys import toy_calibration, toy_key

from lipar_lab.plan.calibration import CalibrationError
from lipar_lab.plan.store import VARIABLE, CalibrationFile, calibration_path


def test_what_was_put_is_found_by_its_key(tmp_path: Path) -> None:
    file = CalibrationFile(tmp_path / "new" / "calibration.json")
    assert file.find(toy_key()) is None
    made, other = toy_calibration(), toy_calibration(key=toy_key(width=128))
    file.put(made)
    file.put(other)
    assert file.find(toy_key()) == made
    assert file.find(toy_key(width=128)) == other
    assert file.find(toy_key(dtype="bfloat16")) is None


def test_a_new_record_replaces_the_one_with_its_key(tmp_path: Path) -> None:
    file = CalibrationFile(tmp_path / "calibration.json")
    file.put(toy_calibration())
    file.put(toy_calibration(encode=9.0))
    assert [record.encode for record in file.read()] == [9.0]


def test_records_put_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    made = [toy_calibration(key=toy_key(width=64 * n)) for n in range(1, 9)]
    threads = [threading.Thread(target=CalibrationFile(path).put, args=(one,)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record.key.width for record in CalibrationFile(path).read()) == [
        64 * n for n in range(1, 9)
    ]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 99, "records": []}', '{"format": 1, "records": [{}]}']
)
def test_another_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    for act in (CalibrationFile(path).read, lambda: CalibrationFile(path).put(toy_calibration())):
        with pytest.raises(CalibrationError, match="remove it, or name another file by --calibration"):
            act()
    assert path.read_text() == text


def test_the_file_is_in_the_cache_folder_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = calibration_path()
    assert path.name == "calibration.json" and path.parent.name == "lipar"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine.json"))
    assert calibration_path() == tmp_path / "mine.json"
    assert calibration_path(tmp_path / "typed.json") == tmp_path / "typed.json"


def test_the_file_is_json_with_a_format(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    CalibrationFile(path).put(toy_calibration())
    table = json.loads(path.read_text())
    assert table["format"] == 1
    assert table["records"][0]["key"] == attrs.asdict(toy_key())
