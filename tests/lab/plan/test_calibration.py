"""A calibration and the machine it is from."""

import attrs
import pytest
import torch
from plan_toys import toy_calibration, toy_samples

from lipar_lab.plan.calibration import SAME, machine_now

CPU = torch.device("cpu")


def test_on_the_machine_as_it_was_there_is_no_difference() -> None:
    now = machine_now(CPU, torch.float32)
    assert toy_calibration(machine={**now, "date": "2020-01-01"}).differences(now) == []


@pytest.mark.parametrize("name", SAME)
def test_each_change_is_named(name: str) -> None:
    now = machine_now(CPU, torch.float32)
    (found,) = toy_calibration(machine=now).differences({**now, name: "another"})
    assert name in found and "another" in found


def test_the_machine_is_described_by_name_cpus_and_versions() -> None:
    now = machine_now(CPU, torch.float32)
    assert now["cpus"] >= 1 and now["threads"] >= 1
    assert now["torch"] == torch.__version__ and now["host"]


def test_the_spread_is_that_of_the_repetitions() -> None:
    assert toy_calibration().spread == 0
    twice = [
        attrs.evolve(sample, denoise=factor * sample.denoise)
        for sample in toy_samples()
        for factor in (1, 1.5)
    ]
    assert toy_calibration(samples=tuple(twice)).spread == pytest.approx(0.5)
