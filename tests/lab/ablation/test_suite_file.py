"""Suites as TOML files: what is wrong is named with its file and key."""

import re
import tomllib
from pathlib import Path

import pytest

from lipar.config import ConfigError
from lipar_lab.ablation.rows import crossed_rows
from lipar_lab.ablation.suite import Axis, Clips, Suite, SuiteRow
from lipar_lab.ablation.suite_file import parse_suite, read_suite, suite_names, suite_text

DENSE = '{name = "dense", how = "dense"}'
WHOLE = f'title = "mine"\nreference = "a"\nrows = [{DENSE}, {{name = "a"}}]\n'


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_file_says_everything_that_a_suite_of_lipar_s_says(tmp_path: Path) -> None:
    for name in suite_names():
        assert read_suite(written(tmp_path, suite_text(name))) == read_suite(name)


def test_keys_become_fields_and_paths_count_from_the_folder_of_the_suite(tmp_path: Path) -> None:
    suite = read_suite(
        written(
            tmp_path,
            """
            title = "mine"
            reference = "a"
            kept = [0.5, 1]
            clips = {files = ["b.mp4"], prompts = ["night"], frames = 24}
            axes.window.values = {full = [], short = ["cache.window_frames=4"]}
            [[rows]]
            name = "dense"
            how = "dense"
            [[rows]]
            name = "a"
            kept = [0.5]
            settings = ["merging.fraction={pruned}"]
            at = {window = "short"}
            """,
        )
    )
    assert suite == Suite(
        title="mine",
        reference="a",
        kept=(0.5, 1.0),
        clips=Clips(files=(str(tmp_path / "b.mp4"),), prompts=("night",), frames=24),
        axes=(Axis(name="window", values={"full": (), "short": ("cache.window_frames=4",)}),),
        rows=(
            SuiteRow(name="dense", how="dense"),
            SuiteRow(
                name="a", kept=(0.5,), settings=("merging.fraction={pruned}",), at={"window": ("short",)}
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kept = 0.5", "kept must be a list, each a number, got 0.5"),
        ("kept = [1.5]", "kept has fractions above 0 and up to 1, got 1.5"),
        ("kept = []", "kept is empty; write at least one"),
        ("seeds = []", "seeds is empty"),
        ("keep = [0.5]", "unknown key 'keep' in the suite.*did you mean 'kept'"),
        ("clips = {number = 3}", "unknown key 'number' in clips; known: count, files, frames, prompts, size"),
        ("clips = {count = 0}", "clips: count must be at least 1"),
        ('clips = {files = ["a.mp4"]}', "clips: files need prompts"),
        ("clips = 3", "clips must be a table, got 3"),
        ('timing = {rounds = "many"}', "timing.rounds must be a whole number, got 'many'"),
        ('settings = ["noise"]', r"settings\[0\]: --set takes key=value"),
        ('quick = {rows = ["c"]}', "quick.rows: no row is named 'c'; there are: dense, a"),
        ("axes.window = {}", "axes.window.values needs at least one value"),
        ('axes.window = {values = {x = "y"}}', "axes.window.values.x must be a list, each text, got 'y'"),
        ('axes.window = {dense = "z", values = {x = []}}', "axes.window.dense must be one of x, got 'z'"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine.toml: {complaint}"):
        read_suite(written(tmp_path, f"{text}\n{WHOLE}"))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ('{name = "a"}', 'exactly one has how = "dense"'),
        (f'{DENSE}, {{name = "b"}}', "reference must be the name of a row, got 'a'; there are: dense, b"),
        (f'{DENSE}, {{name = "a"}}, {{name = "a"}}', "the name 'a' is taken twice"),
        (f'{DENSE}, {{about = "a"}}', r"rows\[1\] lacks the key 'name'"),
        (f'{DENSE}, {{name = "a", how = "fast"}}', "row 'a'.how must be 'strategy' or 'own-mask' or"),
        (f'{DENSE}, {{name = "a", kept = [0.4]}}', "row 'a': kept 0.4 is not among the suite's"),
        (f'{DENSE}, {{name = "a", at = {{x = "y"}}}}', "row 'a': at names no axis 'x'; there are: none"),
        (f'{DENSE}, {{name = "a", settings = ["x"]}}', r"row 'a'.settings\[0\]: --set takes key=value"),
        (f"{DENSE}, 3", r"rows\[1\] must be a table, got 3"),
    ],
)
def test_what_is_wrong_in_a_row_is_named_with_the_row(tmp_path: Path, rows: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine.toml: .*{complaint}"):
        read_suite(written(tmp_path, f'title = "mine"\nreference = "a"\nrows = [{rows}]\n'))


def test_a_missing_key_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mine: the suite lacks the key 'title'"):
        parse_suite({"reference": "a"}, "mine")
    with pytest.raises(ConfigError, match=r"cannot read .*gone.toml"):
        read_suite(str(tmp_path / "gone.toml"))
    with pytest.raises(LookupError, match=r"no suite named 'gone'; there are: .*recovery.*ends in .toml"):
        read_suite("gone")


def test_the_suite_in_the_docs_can_be_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "laboratory" / "ablation.md").read_text("utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    suite = parse_suite(tomllib.loads(text), "ablation.md")
    assert [row.name for row in crossed_rows(suite)] == [
        *("dense (full)", "dense (trimmed)", "one copy (full)", "one copy (trimmed)", "merged")
    ]
