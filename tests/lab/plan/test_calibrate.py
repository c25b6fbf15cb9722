"""A calibration from measuring to the file."""

from pathlib import Path

import pytest
import torch
from plan_toys import SIZE, TOKENS, toy_config, toy_host, toy_key, toy_model

import lipar_lab.plan.calibrate
from lipar.testing.toy import ToyModel
from lipar_lab.plan.calibrate import calibrate, calibrate_model
from lipar_lab.plan.calibration import CalibrationError, machine_now
from lipar_lab.plan.memory import Loading, peak_of
from lipar_lab.plan.store import CalibrationFile

HOST = toy_host()
LOADING = Loading(config=toy_config(), device="cpu", dtype="float32")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(function, loading, size, share):
        return peak_of(toy_model(), loading.config, size, share, host=HOST)

    monkeypatch.setattr(lipar_lab.plan.calibrate, "in_new_process", here)


@pytest.mark.usefixtures("in_this_process")
def test_a_calibration_is_stored_for_its_key_and_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    made = calibrate(LOADING, SIZE, path, host=HOST, repeats=2, quiet=True)
    assert CalibrationFile(path).find(toy_key()) == made
    assert made.differences(machine_now(torch.device("cpu"), torch.float32)) == []
    assert (made.tokens, made.block_frames, made.memory_rows) == (TOKENS, 3, 7 * TOKENS // 3)
    assert [point.kept for point in made.memory] == [TOKENS, round(0.3 * TOKENS)]
    assert made.load > 0 and made.warm_up >= 0


def test_a_file_that_is_no_calibration_is_refused_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text("precious")
    with pytest.raises(CalibrationError):
        calibrate(LOADING, SIZE, path, host=HOST, repeats=2, quiet=True)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("model", "size", "why"),
    [(ToyModel(), SIZE, "has no autoencoder"), (toy_model(), (50, 48), "does not divide into tokens")],
)
def test_what_cannot_be_edited_cannot_be_calibrated(model, size, why) -> None:
    with pytest.raises(ValueError, match=why):
        calibrate_model(model, toy_config(), size, host=HOST, repeats=1, load=0.0, quiet=True)
