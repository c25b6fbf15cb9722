"""Packages that may be missing."""

import sys

import pytest

from lipar.metrics.packages import is_installed, load


def test_a_missing_package_is_noticed_without_loading_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vmaf_torch", None)
    assert not is_installed("vmaf-torch")
    with pytest.raises(
        ModuleNotFoundError, match=r"VMAF needs vmaf-torch, which is not installed: pip install"
    ):
        load("vmaf-torch", "VMAF")
