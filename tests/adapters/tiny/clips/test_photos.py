"""The pack of photographs."""

from pathlib import Path

from lipar_adapters.tiny.clips.photos import load_pack, stamp_word


def test_without_a_pack_there_are_no_photographs(tmp_path: Path) -> None:
    assert load_pack(tmp_path / "none.npz") == (None, None, [])
    assert stamp_word(Path("stamps/animals/mammals/cats/cat.png")) == "cat"
