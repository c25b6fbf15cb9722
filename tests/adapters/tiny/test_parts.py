"""The bundled parts and their configuration."""

from pathlib import Path

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
