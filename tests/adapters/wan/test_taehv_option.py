"""The file of TAEHV, as options of adapters name it."""

from pathlib import Path
from typing import Literal

import attrs
import pytest

from lipar_adapters.checkpoint_errors import MissingCheckpointError
from lipar_adapters.wan.taehv_option import only_with_taehv, taehv_file


@attrs.frozen(kw_only=True)
class Options:
    autoencoder: Literal["wan", "taehv"] = "wan"
    taehv: str | None = attrs.field(default=None, validator=only_with_taehv)


def test_a_file_belongs_to_the_autoencoder_taehv_only() -> None:
    assert Options(autoencoder="taehv", taehv="a.pth").taehv == "a.pth"
    assert Options().taehv is None
    with pytest.raises(
        ValueError, match=r"taehv is set to 'a\.pth', but the autoencoder is 'wan'; set adapter\.auto"
    ):
        Options(taehv="a.pth")


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="taehv"):
        Options(autoencoder="taehv", taehv=3)  # type: ignore[arg-type]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCheckpointError, match=r"set adapter\.taehv to the released taew2_1\.pth"):
        taehv_file(None, "taew2_1", str(tmp_path))
    for nothing in (tmp_path / "no.pth", tmp_path):
        with pytest.raises(MissingCheckpointError, match=r"adapter\.taehv: there is no file at"):
            taehv_file(str(nothing), "taew2_1")


def test_a_file_in_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "taew2_1.pth").touch()
    assert taehv_file("~/taew2_1.pth", "taew2_1") == tmp_path / "taew2_1.pth"
