"""What the system says about writing, turned into what can be done about it."""

import errno
from pathlib import Path

import pytest

from lipar.video.errors import explain


@pytest.mark.parametrize(
    ("code", "frames", "message"),
    [
        (errno.ENOSPC, None, "no space left in out; free some or write elsewhere"),
        (errno.EDQUOT, 1, "no space left in out after 1 frame; free some or write elsewhere"),
        (errno.EFBIG, 2, "writing to out failed after 2 frames: files may not become this large here"),
        (errno.EACCES, None, "out cannot be written to (as the system says it); choose another folder"),
        (errno.EIO, 0, "writing to out failed after 0 frames (as the system says it)"),
    ],
)
def test_an_error_of_the_system_says_what_to_do(code, frames, message):
    assert str(explain(OSError(code, "as the system says it"), Path("out"), frames)).startswith(message)


def test_an_error_without_a_code_gives_its_own_text():
    assert str(explain(ValueError("bad header"), Path("out"))) == "writing to out failed (bad header)"
