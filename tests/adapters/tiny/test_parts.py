"""The bundled parts and their configuration."""

from pathlib import Path

import pytest
from weight_damages import damaged, entry, refused, sibling, tiny, weights_of, with_nan

from lipar_adapters.checkpoint_errors import CheckpointError
from lipar_adapters.tiny.parts import BIDIRECTIONAL, WEIGHTS, TinyParts
from lipar_adapters.tiny.recipe.preview import shifted_sigmas


def test_the_config_has_what_the_adapter_reads(parts: TinyParts) -> None:
    assert 0 < parts.config["tau_short"] < parts.config["tau_long"]
    sigmas = shifted_sigmas(parts.config["edit_steps"], parts.config["shift"])
    assert sigmas == sorted(sigmas, reverse=True)


def test_exported_weights_do_not_say_where_they_were_made(folder: Path) -> None:
    for config in (folder / BIDIRECTIONAL, WEIGHTS / BIDIRECTIONAL):
        assert "_name_or_path" not in (config / "config.json").read_text()


def test_a_sibling_fits_beside_the_causal_model(folder: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in (folder / BIDIRECTIONAL).iterdir()}
    others = sum(
        path.stat().st_size
        for path in WEIGHTS.rglob("*")
        if path.is_file() and BIDIRECTIONAL not in path.parts
    )
    assert sum(sizes.values()) + others <= 16_000_000


@pytest.mark.parametrize(
    "key_value",
    [
        *(("block_frames", value) for value in (0, 10**9, "three", 2.5, None)),
        *(("edit_steps", value) for value in ([], [100, 200], [2000], "x", [0.5], [10**30])),
        *(("shift", value) for value in (0, -1, "x", 1e400, None)),
        *(("home_size", value) for value in ([], [0, 0], [256], [10**9, 10**9], "big")),
        *(("tau_short", value) for value in (0, -1, 1e9, "x")),
        ("tau_long", 0.001),
        ("guidance_scale", float("nan")),
        ("sink_frames", -1),
        ("window_frames", 10**6),
    ],
    ids=str,
)
def test_run_settings_out_of_bounds_are_refused(folders, tmp_path, key_value):
    folder = damaged(folders, tmp_path, "tiny")
    entry(*key_value)(folder / "model_config.json")
    with pytest.raises(CheckpointError) as caught:
        tiny(folder)
    assert "model_config.json" in str(caught.value) and key_value[0].partition("_")[0] in str(caught.value)


def test_the_sibling_is_looked_at_as_well(folders, tmp_path):
    folder = damaged(folders, tmp_path, "tiny")
    with_nan(weights_of(folder / "bidirectional"))
    refused(sibling, folder, folder / "bidirectional")
