"""Where the files of a model are looked for."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from lipar.catalogue.entry import ModelPart, WantedFile
from lipar.catalogue.places import look_for, models_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FOLDER = ModelPart(
    option="base", repository="o/n", revision=COMMIT, files=(WantedFile("a", 1), WantedFile("b/c", 1))
)
FILE = ModelPart(option="checkpoint", repository="o/n", files=(WantedFile("b/c", 1),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("LIPAR_MODELS", raising=False)
    return tmp_path / "hub" / "models--o--n"


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    found = look_for(FOLDER, tmp_path)
    assert (found.state, found.path, found.missing) == ("missing", None, FOLDER.files)


def test_the_given_folder_goes_before_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPAR_MODELS", str(tmp_path / "env"))
    here, there = (
        put(tmp_path / "env" / "o" / "n", "a", "b/c"),
        put(tmp_path / "given" / "o" / "n", "a", "b/c"),
    )
    assert look_for(FOLDER).path == here
    assert look_for(FOLDER, tmp_path / "given").path == there
    assert models_folder() == tmp_path / "env"


def test_the_path_of_one_file_is_the_file(tmp_path: Path) -> None:
    folder = put(tmp_path / "o" / "n", "b/c")
    assert look_for(FILE, tmp_path).path == folder / "b" / "c"


@pytest.mark.parametrize("where", [COMMIT, "f" * 40])
def test_the_cache_of_the_hub_is_looked_at_too_whatever_the_revision(cache: Path, where: str) -> None:
    folder = put(cache / "snapshots" / where, "a", "b/c")
    assert look_for(FOLDER).path == folder


def test_the_revision_of_the_catalogue_goes_first(cache: Path) -> None:
    put(cache / "snapshots" / ("f" * 40), "a", "b/c")
    folder = put(cache / "snapshots" / COMMIT, "a", "b/c")
    assert look_for(FOLDER).path == folder


def test_a_branch_is_the_commit_that_was_fetched_last(cache: Path) -> None:
    put(cache / "snapshots" / ("f" * 40), "b/c")
    folder = put(cache / "snapshots" / ("e" * 40), "b/c")
    put(cache / "refs", "main").joinpath("main").write_text("e" * 40)
    assert look_for(FILE).path == folder / "b" / "c"


def test_files_of_one_part_come_from_one_folder(tmp_path: Path, cache: Path) -> None:
    put(tmp_path / "models" / "o" / "n", "a")
    put(cache / "snapshots" / COMMIT, "b/c")
    found = look_for(FOLDER, tmp_path / "models")
    assert (found.state, found.missing) == ("partial", (FOLDER.files[1],))


def test_a_file_of_another_size_is_noted(tmp_path: Path) -> None:
    folder = put(tmp_path / "o" / "n", "a", "b/c")
    (folder / "a").write_text("longer")
    found = look_for(FOLDER, tmp_path)
    assert (found.state, found.of_another_size) == ("complete", (FOLDER.files[0],))


def test_less_some_folders(tmp_path: Path) -> None:
    put(tmp_path / "o" / "n", "a")
    assert look_for(FOLDER.without(["b"]), tmp_path).state == "complete"
