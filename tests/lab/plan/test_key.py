"""What a calibration depends on."""

import pytest
import torch
from plan_toys import SIZE, toy_config, toy_key

from lipar.config import ConfigError
from lipar_lab.plan.key import CalibrationKey

CPU = torch.device("cpu")


def key(engine="eager", **table):
    return CalibrationKey.of(toy_config(**table), SIZE, CPU, torch.float32, engine)


@pytest.mark.parametrize(
    "table",
    [
        {"recovery": "none"},
        {"recovery": {"name": "m-degree", "degree": 2}},
        {"noise": "kv-cache"},
        {"restorer": "blend"},
        {"cache": {"window_frames": 9}},
        {"cache": {"positions": "absolute"}},
        {"decode": {"regions": "on"}},
        {"adapter": {"name": "toy-stream", "whole": True}},
    ],
    ids=str,
)
def test_what_changes_the_time_of_a_number_of_tokens_changes_the_key(table) -> None:
    assert key(**table) != key()
    assert str(key(**table)) != str(key())


@pytest.mark.parametrize(
    "table",
    [
        {"prune": {"keep": 0.3}},
        {"criterion": "l2"},
        {"refiners": ["threshold"]},
        {"strength": 0.8},
        {"seed": 3},
        {"run": {"sizes": 4}},
    ],
    ids=str,
)
def test_what_only_changes_the_masks_or_the_number_of_steps_does_not(table) -> None:
    assert key(**table) == key() == toy_key()


def test_recorded_passes_depend_on_their_sizes() -> None:
    assert key("graphs") != key("graphs", run={"sizes": 4})


def test_device_type_and_size_are_in_it() -> None:
    config = toy_config()
    others = [
        CalibrationKey.of(config, (128, 64), CPU, torch.float32, "eager"),
        CalibrationKey.of(config, SIZE, torch.device("cuda:1"), torch.float32, "eager"),
        CalibrationKey.of(config, SIZE, CPU, torch.bfloat16, "eager"),
    ]
    assert len({key(), *others}) == 4
    assert others[1].device == "cuda"


@pytest.mark.parametrize(("kind", "name"), [("merging", "tome"), ("reuse", "step-skip")])
def test_what_saves_in_another_way_than_by_kept_tokens_is_refused(kind, name) -> None:
    with pytest.raises(ConfigError, match=f"{kind} '{name}' saves in another way; set {kind} to 'none'"):
        key(**{kind: name})
