"""Versions are compared with the ranges that lipar declares."""

import pytest

from lipar.doctor.versions import check_versions

DECLARED = ["torch>=2.9,<2.14", "av>=17", "click>=8.1", "gguf>=0.10; extra == 'gguf'"]
GOOD = {"lipar": "0.1.0", "torch": "2.13.0+cpu", "av": "18.1.0", "click": "8.2", "diffusers": "0.42.1"}


def states(installed):
    return {finding.name: finding for finding in check_versions(installed.get, DECLARED)}


def test_versions_inside_the_ranges_are_ok():
    found = states(GOOD)
    assert {each.state for name, each in found.items() if name != "triton"} == {"ok"}
    assert found["torch"].text == "2.13.0+cpu"
    assert "click" not in found  # listed only where it is wrong
    assert "gguf" not in found  # belongs to an extra


@pytest.mark.parametrize("version", ["2.14.0", "2.8.1", "2.15.0.dev1"])
def test_a_torch_outside_the_range_is_a_trap_with_the_command(version):
    torch = states(GOOD | {"torch": version})["torch"]
    assert torch.state == "warning" and version in torch.text
    assert torch.advice.startswith("pip install 'torch") and "<2.14" in torch.advice


def test_a_package_that_is_missing_is_broken():
    click = states({name: version for name, version in GOOD.items() if name != "click"})["click"]
    assert (click.state, click.advice) == ("broken", "pip install 'click>=8.1'")


def test_triton_may_be_missing():
    assert states(GOOD)["triton"].state == "note" and states(GOOD | {"triton": "3.6"})["triton"].state == "ok"


def test_this_environment_is_read():
    found = {finding.name: finding.text for finding in check_versions()}
    assert found["torch"] and found["python"].startswith("3.")
