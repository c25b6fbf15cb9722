"""The rows of a comparison: pruned versus dense on one clip."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lipar.config import Config, build_config
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import write_synthetic_clip
from lipar_lab.compare.coding import encode_clip
from lipar_lab.compare.comparison import Comparison
from lipar_lab.compare.rows import RANDOM, compare_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_clip(tmp_path_factory.mktemp("clip") / "a.mp4", frames=50, width=64, height=48)


@pytest.fixture
def model() -> ToyModel:
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("night")
    return model


def test_a_clip_is_encoded_in_blocks(model: ToyModel, clip: Path) -> None:
    pieces = encode_clip(model, clip)
    assert sum(piece.latents.shape[1] for piece in pieces) % model.block_frames == 0
    with pytest.raises(ValueError, match="no autoencoder"):
        encode_clip(ToyModel(), clip)


def test_each_variant_has_a_row_and_random_pruning_keeps_as_many_tokens_as_the_first(
    model: ToyModel, clip: Path
) -> None:
    variants = {"mine": build_config(), "none": build_config(settings=("recovery=none",))}
    rows = list(compare_clip(model, clip, variants, host=load_plugins()))
    assert [row.variant for row in rows] == ["mine", "none", RANDOM]
    mine, none, random = rows
    assert mine.kept_per_block == none.kept_per_block == random.kept_per_block
    assert mine.kept_per_block[0] == 3 * tokens(model, clip) and 0 < mine.kept_fraction < 1
    assert all(math.isfinite(row.psnr) for row in rows) and len({row.psnr for row in rows}) == 3
    assert all(row.clip == "a" and row.frames >= 50 for row in rows)


class KeepAll:
    @hookimpl
    def lipar_prune(self, job: Any, source: torch.Tensor, first_frame: int) -> TokenLayout:
        grid = (source.shape[1], source.shape[3] // 2, source.shape[4] // 2)
        return TokenLayout.keep_all(grid, first_frame=first_frame, has_history=job.history is not None)


def test_a_run_that_keeps_everything_is_equal_to_dense(model: ToyModel, clip: Path) -> None:
    (row,) = compare_clip(model, clip, {"all": build_config()}, host=load_plugins(KeepAll()), random=False)
    assert row.kept_fraction == 1 and row.psnr == math.inf


def test_rows_of_a_record_are_not_run_again_and_new_ones_are_added(model: ToyModel, clip: Path) -> None:
    class Stored:
        def __init__(self) -> None:
            self.rows: dict[str, Comparison] = {}

        def find(self, clip: Path, variant: str, config: Config) -> Comparison | None:
            return self.rows.get(variant)

        def add(self, clip: Path, row: Comparison, config: Config) -> None:
            self.rows[row.variant] = row

    record, variants = Stored(), {"mine": build_config()}
    first = list(compare_clip(model, clip, variants, host=load_plugins(), record=record))
    passes = len(model.passes)
    assert list(record.rows.values()) == first and passes
    assert list(compare_clip(model, clip, variants, host=load_plugins(), record=record)) == first
    assert len(model.passes) == passes


def tokens(model: ToyModel, clip: Path) -> int:
    latents = encode_clip(model, clip)[0].latents
    grid = (1, latents.shape[3] // model.patch_size, latents.shape[4] // model.patch_size)
    return TokenLayout.keep_all(grid).token_count
