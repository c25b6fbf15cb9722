"""The command that trains."""

from pathlib import Path

import pytest

from lipar_adapters.tiny.recipe.train import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["autoencoder", "--decoder-only"], "--start-from"),
        (["transformer", "--freeze-text"], "--start-from"),
        (["transformer"], "an autoencoder"),
        (["autoencoder", "--start-from", "nowhere"], "nowhere"),
    ],
)
def test_a_start_that_is_missing_is_named_before_anything_is_made(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=message):
        main([*arguments, "--steps", "1", "--out", str(tmp_path), "--textures", "1", "--shapes", "2"])
