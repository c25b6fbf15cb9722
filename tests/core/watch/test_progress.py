"""The progress bar, and the line shown while something is loading."""

from pathlib import Path

import pytest
from watched_edit import edit

from lipar.cli.loading import loading
from lipar.watch.progress import ProgressBar


class Bar:
    """Notes where a bar stands and what is said beside it."""

    disable = False

    def __init__(self, total: int, **_: object) -> None:
        self.total, self.n, self.seen = total, 0, []

    def update(self, by: int) -> None:
        self.n += by

    def set_postfix_str(self, doing: str, refresh: bool = True) -> None:
        self.seen.append((self.n, doing))

    def close(self) -> None:
        self.seen.append((self.n, "closed"))


def test_the_bar_moves_with_every_step_of_a_block_and_ends_at_the_clips_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Bar] = []
    monkeypatch.setattr(
        "lipar.watch.progress.tqdm", lambda **options: bars.append(Bar(**options)) or bars[-1]
    )
    edit(tmp_path, ProgressBar())
    (bar,) = bars
    # 12 pixel frames in 4 parts: two denoise steps, clean pass, decoding; of the last block only 2 are shown
    block = ["deciding what to compute", "step 1 of 2", "step 2 of 2", "clean pass", "decoding to pixels"]
    stands = [*[0, 0, 3, 6, 9], *[12, 12, 15, 18, 21], *[24, 24, 26, 26, 26], 26, 26]
    assert bar.seen == [*zip(stands, [*block * 3, "", "closed"], strict=True)]


def test_a_bar_of_a_clip_whose_length_is_not_known_ends_at_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(total=None)
    monkeypatch.setattr("lipar.watch.progress.tqdm", lambda **_: bar)
    edit(tmp_path, ProgressBar())
    assert bar.seen[-1] == (26, "closed")


def test_nothing_is_shown_where_standard_error_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(tmp_path, ProgressBar())
    with loading("the model"):
        pass
    assert capsys.readouterr().err == ""


def test_a_line_stands_on_a_terminal_while_something_is_loading(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with loading("the model tiny"):
        assert "loading the model tiny ..." in capsys.readouterr().err
    with loading("the model tiny", quiet=True):
        assert "loading" not in capsys.readouterr().err
