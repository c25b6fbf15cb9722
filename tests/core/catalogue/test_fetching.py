"""Fetching a model from a hub on this machine: what is asked for, what is interrupted, what is damaged."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import pytest
from toy_hub import COMMIT, ToyHub, serving

from lipar.catalogue import fetching
from lipar.catalogue.entry import Entry, ModelPart, WantedFile
from lipar.catalogue.fetching import FetchError, HubUnreachableError, fetch
from lipar.catalogue.places import look_for

REPOSITORY = "someone/small-model"
FILES = {
    "config.json": b"{}",
    "weights/model.safetensors": bytes(range(256)) * 4000,
    "README.md": b"not wanted",
}
ENTRY = Entry(
    name="small",
    title="a model of a megabyte",
    adapter="toy",
    licence="MIT",
    memory="none",
    parts=(
        ModelPart(
            option="folder",
            repository=REPOSITORY,
            files=(WantedFile("config.json", 2), WantedFile("weights/model.safetensors", 1_024_000)),
        ),
    ),
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyHub]:
    for name, content in FILES.items():
        path = tmp_path / "hub" / REPOSITORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("LIPAR_MODELS", raising=False)
    with serving(tmp_path / "hub") as hub:
        # as HF_ENDPOINT sets them before the client is imported
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.endpoint)
        template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


@pytest.mark.parametrize("named", [True, False], ids=["folder", "cache"])
def test_the_files_of_the_entry_are_fetched_and_no_others(hub: ToyHub, tmp_path: Path, named: bool) -> None:
    folder = tmp_path / "models" if named else None
    said: list[str] = []
    fetch(ENTRY, folder, quiet=True, say=said.append)
    found = look_for(ENTRY.parts[0], folder)
    assert found.state == "complete" and found.folder is not None and not found.of_another_size
    assert {name: (found.folder / name).read_bytes() for name in list(FILES)[:2]} == dict(
        list(FILES.items())[:2]
    )
    assert not (found.folder / "README.md").exists()
    if named:
        assert found.folder == tmp_path / "models" / REPOSITORY
    assert said == [f"{REPOSITORY} at {COMMIT}: 2 of 2 files to fetch, 1.0 MB"]


def test_what_is_here_is_not_fetched_again(hub: ToyHub, tmp_path: Path) -> None:
    fetch(ENTRY, tmp_path / "models", quiet=True)
    assert sorted(set(hub.downloads())) == ["config.json", "model.safetensors"]
    hub.asked.clear()
    said: list[str] = []
    fetch(ENTRY, tmp_path / "models", quiet=True, say=said.append)
    assert hub.downloads() == []
    assert said[0].endswith("0 of 2 files to fetch, 0 B")


def test_a_fetch_that_was_interrupted_keeps_the_files_that_were_complete(
    hub: ToyHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cut_after = 100_000
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits before it tries again
    with pytest.raises((HubUnreachableError, FetchError)):
        fetch(ENTRY, tmp_path / "models", quiet=True)
    assert look_for(ENTRY.parts[0], tmp_path / "models").state == "partial"
    hub.cut_after = None
    hub.asked.clear()
    fetch(ENTRY, tmp_path / "models", quiet=True)
    assert look_for(ENTRY.parts[0], tmp_path / "models").state == "complete"
    assert hub.downloads() == ["model.safetensors"]


def test_after_a_broken_connection_a_file_goes_on_where_it_ended(
    hub: ToyHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cut_after = 400_000
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    fetch(ENTRY, tmp_path / "models", quiet=True)
    assert look_for(ENTRY.parts[0], tmp_path / "models").state == "complete"
    begins = [
        wanted for method, path, wanted in hub.asked if method == "GET" and path.endswith("model.safetensors")
    ]
    assert begins == [None, "bytes=400000-", "bytes=800000-"]


def test_a_file_that_comes_damaged_is_removed(hub: ToyHub, tmp_path: Path) -> None:
    hub.changed.add("weights/model.safetensors")
    with pytest.raises(FetchError, match=r"model\.safetensors came damaged and was removed: its SHA-256 is"):
        fetch(ENTRY, tmp_path / "models", quiet=True)
    assert not (tmp_path / "models" / REPOSITORY / "weights" / "model.safetensors").exists()
    hub.changed.clear()
    fetch(ENTRY, tmp_path / "models", quiet=True)
    assert look_for(ENTRY.parts[0], tmp_path / "models").state == "complete"


def test_a_full_disk_is_told_before_anything_is_fetched(
    hub: ToyHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=2**26 + 1_000_000))
    with pytest.raises(FetchError, match=r"1\.0 MB are still to be fetched and 68\.1 MB are free at"):
        fetch(ENTRY, tmp_path / "models", quiet=True)
    assert hub.downloads() == []


def test_files_that_the_hub_does_not_have_are_told_before_anything_is_fetched(
    hub: ToyHub, tmp_path: Path
) -> None:
    (hub.root / REPOSITORY / "config.json").unlink()
    with pytest.raises(FetchError, match=r"someone/small-model has no config\.json at main"):
        fetch(ENTRY, tmp_path / "models", quiet=True)
    assert hub.downloads() == []


def test_a_repository_that_is_not_there_is_told(hub: ToyHub, tmp_path: Path) -> None:
    shutil.rmtree(hub.root / REPOSITORY)
    with pytest.raises(
        FetchError, match="the hub has no someone/small-model at main, or not for this account"
    ):
        fetch(ENTRY, tmp_path / "models", quiet=True)


def test_another_revision_is_asked_for_by_its_name(hub: ToyHub, tmp_path: Path) -> None:
    fetch(ENTRY, tmp_path / "models", revision="later", quiet=True)
    assert any(path.endswith("/revision/later") for _, path, _ in hub.asked)


def test_without_a_network_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(HubUnreachableError):
        fetch(ENTRY, tmp_path / "models", quiet=True)
    assert not (tmp_path / "models").exists()


def test_no_other_module_of_the_catalogue_contacts_a_hub() -> None:
    folder = Path(fetching.__file__).parent
    asking = {path.name for path in folder.glob("*.py") if "snapshot_download" in path.read_text("utf-8")}
    assert asking == {"fetching.py"}
