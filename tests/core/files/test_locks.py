"""Files that grow under a lock."""

from pathlib import Path

import pytest

from lipar.files.locks import GrowingFile, check_unlocked
from lipar.video import VideoError


def test_a_growing_file_is_free_again_when_its_run_has_ended(tmp_path: Path) -> None:
    first, second = GrowingFile(tmp_path / "a"), GrowingFile(tmp_path / "a")
    (tmp_path / "a").write_text("an older and longer file")
    first.begin(b"fir")
    first.append(b"st")
    with pytest.raises(
        VideoError, match=r"another run is writing to .*a at this moment; wait until it has ended"
    ):
        second.begin(b"")
    with pytest.raises(VideoError, match="another run"):
        check_unlocked(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"first"
    first.end()
    check_unlocked(tmp_path / "a")
    second.begin(b"2")
    second.end()
    assert (tmp_path / "a").read_bytes() == b"2"
