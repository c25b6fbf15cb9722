"""`lipar compare --json`: finished rows are kept, found again, and run again when what they were taken on changed."""

import json
import sys
from pathlib import Path

import attrs
import pytest
import torch

import lipar.plugin.host
import lipar_lab.compare.rows
from lipar.cli import main
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import write_synthetic_clip

ROWS = ["as configured", "noise=kv-cache", "random at the same rate"]


@attrs.frozen
class Toy:
    """An adapter of a toy model."""

    seed: int = 0

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        model = ToyModel(autoencoder=ToyAutoencoder(), seed=Toy.weights)
        models.append(model)
        return model


Toy.weights = 0
models: list[ToyModel] = []


class ToyPlugin:
    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("toy", Toy)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        write_synthetic_clip(folder / f"{name}.mp4", frames=24 + i, width=64, height=48)
        for i, name in enumerate("ab")
    ]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run `lipar compare ... --json`; gives the exit code, the output, the error and the rows of the file."""
    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(ToyPlugin(), **options))
    monkeypatch.setattr(Toy, "weights", 0)
    file = tmp_path / "rows.json"

    def call(*arguments: object, prompt: str = "x") -> tuple[int, str, str, list[dict]]:
        models.clear()
        options = ("--prompt", prompt, "--set", "adapter=toy", "--json", file)
        monkeypatch.setattr(sys, "argv", ["lipar", "compare", *map(str, (*arguments, *options))])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        rows = json.loads(file.read_text()) if ended.value.code != 1 else []
        return int(ended.value.code or 0), captured.out, captured.err, rows

    return call


def ran() -> int:
    """Forwards that were really computed."""
    return sum(len(model.passes) for model in models)


def keys(rows: list[dict]) -> list[tuple[str, str]]:
    return [(row["clip"], row["variant"]) for row in rows]


def table(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith(("| a ", "| b "))]


VARIANT = ("--variant", "noise=kv-cache")


def test_the_same_command_runs_nothing_again_and_prints_the_same_table(compare, clips) -> None:
    code, first, _, rows = compare(*clips, *VARIANT)
    assert code == 0 and keys(rows) == [(clip, row) for clip in "ab" for row in ROWS] and ran() > 0
    code, second, _, again = compare(*clips, *VARIANT)
    assert (code, ran(), again) == (0, 0, rows)
    assert table(second) == table(first) and len(table(first)) == 6
    assert "6 of 6 rows had been kept in rows.json" in second and "had been kept" not in first


def test_an_interrupted_run_keeps_its_rows_and_goes_on_from_them(
    compare, clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 4
    compared = lipar_lab.compare.rows._compared

    def interrupted(*arguments: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return compared(*arguments)

    monkeypatch.setattr("lipar_lab.compare.rows._compared", interrupted)
    code, _, err, rows = compare(*clips, *VARIANT)
    assert code == 130 and keys(rows) == [*(("a", row) for row in ROWS), ("b", ROWS[0])]
    assert (
        err.strip() == "interrupted; rows.json keeps what was finished; run the same command again to go on"
    )
    left = 99
    code, out, _, whole = compare(*clips, *VARIANT)
    assert code == 0 and whole[:4] == rows and left == 97
    assert keys(whole) == [(clip, row) for clip in "ab" for row in ROWS]
    assert "4 of 6 rows had been kept" in out
    assert all(row["kept_per_block"] for row in whole)
    # random pruning kept as many in every block as the first variant, which was not run again
    assert whole[5]["kept_per_block"] == whole[3]["kept_per_block"]


@pytest.mark.parametrize("what", ["seed", "prompt", "weights", "clip", "variant"])
def test_a_row_is_run_again_when_what_it_was_taken_on_changed(
    compare, clips, what: str, tmp_path: Path
) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(clips[0].read_bytes())
    _, _, _, rows = compare(clip)
    arguments, prompt = [], "x"
    if what == "seed":
        arguments = ["--set", "seed=5"]
    elif what == "prompt":
        prompt = "y"
    elif what == "weights":
        Toy.weights = 1
    elif what == "clip":
        clip.write_bytes(clips[1].read_bytes())
    else:
        arguments = ["--variant", "noise=kv-cache"]
    code, out, _, again = compare(clip, *arguments, prompt=prompt)
    assert code == 0 and ran() > 0
    if what == "variant":  # the old rows are reused, and only the new one was run
        assert again[:2] == rows and keys(again)[2] == ("a", "noise=kv-cache")
        assert "2 of 3 rows had been kept" in out
    else:
        assert keys(again) == keys(rows) and "had been kept" not in out
        assert all(new["bound_to"] != old["bound_to"] for new, old in zip(again, rows, strict=True))


def test_one_clip_under_two_names_has_rows_of_both(compare, clips, tmp_path: Path) -> None:
    twin = tmp_path / "b.mp4"
    twin.write_bytes(clips[0].read_bytes())
    _, out, _, rows = compare(clips[0], twin)
    assert keys(rows) == [(clip, row) for clip in "ab" for row in (ROWS[0], ROWS[2])]
    assert "had been kept" not in out


def test_rows_of_other_clips_stay(compare, clips) -> None:
    _, _, _, rows = compare(clips[0])
    code, _, _, both = compare(clips[1])
    assert code == 0 and both[:2] == rows and keys(both[2:]) == [("b", ROWS[0]), ("b", ROWS[2])]


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '[{"clip": "a"}]', "[" * 3000])
def test_a_file_of_another_kind_is_refused_and_left_alone(compare, clips, tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").write_text(text)
    (tmp_path / "rows.json").symlink_to(tmp_path / "kept")
    code, _, err, _ = compare(clips[0])
    assert code == 1 and "contains no rows of `lipar compare`; name another file, or delete it" in err
    assert (tmp_path / "kept").read_text() == text and ran() == 0


def test_two_clips_of_one_name_keep_their_rows(compare, clips, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "a.mp4"
    other.write_bytes(clips[1].read_bytes())
    _, _, _, rows = compare(clips[0], other)
    assert [row["frames"] for row in rows] == [24, 24, 36, 36] and set(keys(rows)) == {
        ("a", ROWS[0]),
        ("a", ROWS[2]),
    }
    assert compare(clips[0], other)[3] == rows and ran() == 0


def test_a_row_of_another_version_is_run_again(compare, clips, tmp_path: Path) -> None:
    _, _, _, rows = compare(clips[0])
    del rows[0]["kept_per_block"]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    code, _, _, again = compare(clips[0])
    assert code == 0 and "kept_per_block" in again[-1] and sorted(keys(again)) == sorted(keys(rows))
