"""Whole folders of every model that comes with lipar, for tests that damage a copy."""

import shutil

import pytest
from wan_toys import save_pipeline, save_wan_folder

from lipar_adapters.tiny.parts import WEIGHTS


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("whole")
    save_wan_folder(parent / "self-forcing")
    save_pipeline(parent / "ti2v", "t2v-5b")
    save_pipeline(parent / "a14b", "i2v-a14b")
    shutil.copytree(WEIGHTS, parent / "tiny")
    return parent
