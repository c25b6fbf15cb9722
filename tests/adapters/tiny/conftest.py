"""What the tests of the tiny model share: its parts, a library of pictures, and weights with an untrained sibling."""

from pathlib import Path

import pytest
from diffusers import WanTransformer3DModel

from lipar_adapters.tiny.clips.library import Library, build_library
from lipar_adapters.tiny.parts import (
    BIDIRECTIONAL,
    WEIGHTS,
    TinyParts,
    load,
    load_vae,
)
from lipar_adapters.tiny.recipe.export import export_bidirectional
from lipar_adapters.tiny.recipe.train_bidirectional import (
    begin_from,
)
from lipar_adapters.tiny.wan_interface import TinyWanAutoencoder


@pytest.fixture(scope="module")
def parts() -> TinyParts:
    return load()


@pytest.fixture(scope="module")
def library() -> Library:
    return build_library("cpu", None, textures=2, shapes=4)


@pytest.fixture(scope="module")
def start() -> WanTransformer3DModel:
    """The untrained sibling: some of the causal model's layers."""
    causal = WanTransformer3DModel.from_pretrained(WEIGHTS / "transformer", local_files_only=True)
    return begin_from(causal).eval()


@pytest.fixture(scope="module")
def folder(start: WanTransformer3DModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with an untrained sibling among them."""
    folder = tmp_path_factory.mktemp("weights")
    for part in WEIGHTS.iterdir():
        if part.name != BIDIRECTIONAL:
            (folder / part.name).symlink_to(part)
    export_bidirectional(start, folder)
    return folder


@pytest.fixture(scope="module")
def vae() -> TinyWanAutoencoder:
    return TinyWanAutoencoder.around(load_vae(WEIGHTS), 0.1, 0.2)
