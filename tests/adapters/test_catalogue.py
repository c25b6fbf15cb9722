"""The facts in catalogue.toml fit each other, the adapters and the documentation."""

import re
from pathlib import Path

import huggingface_hub.constants
import pytest

from lipar import Config, load_plugins
from lipar.catalogue.entry import sizes_of
from lipar.config import PartConfig
from lipar.plugin.catalogued import catalogue_of
from lipar.plugin.parts import make_adapter
from lipar_adapters.catalogue import entries, entry_named, located
from lipar_adapters.checkpoint_errors import MissingCheckpointError

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "models.md"
NAMES = pytest.mark.parametrize("name", entries())


@NAMES
def test_an_entry_makes_an_adapter_that_has_its_options(name: str) -> None:
    entry, host = entries()[name], load_plugins()
    if entry.adapter is None:
        return
    adapter = make_adapter(host, Config(adapter=PartConfig(name)))
    fields = {field.name for field in host.registries["adapter"][entry.adapter].options}
    assert {part.option for part in entry.parts} <= fields
    assert all(getattr(adapter, option) == value for option, value in entry.options.items())


@NAMES
def test_an_entry_says_where_its_facts_were_read(name: str) -> None:
    entry = entries()[name]
    assert entry.sources and entry.title and entry.licence and entry.memory
    for part in entry.parts:
        assert part.revision == "main" or re.fullmatch(r"[0-9a-f]{40}", part.revision)


def test_no_pickle_is_in_the_catalogue_where_safetensors_are() -> None:
    pickles = {
        file.path
        for entry in entries().values()
        for file in entry.files
        if file.path.endswith((".pt", ".pth", ".bin"))
    }
    assert all("safetensors" not in path for path in pickles)
    assert {Path(path).parts[0] for path in pickles} == {
        "checkpoints", "chunkwise", "framewise", "rewardforcing.pt", "taew2_1.pth",
    }  # fmt: skip


def test_every_entry_is_offered_by_an_adapter() -> None:
    offered = catalogue_of(load_plugins())
    assert {name: offered[name] for name in entries()} == entries()


def test_the_table_of_the_documentation_is_the_catalogue() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    expected = []
    for entry in entries().values():
        repository = ", ".join(dict.fromkeys(part.repository for part in entry.parts))
        licence = entry.licence.partition(" (")[0]
        expected.append(
            f"| `{entry.name}` | {entry.title} | {repository} | {sizes_of(entry.files)} | {licence} |"
        )
    assert [row for row in rows if row.split("`")[1] in entries() and row.count("|") == 6] == expected


def test_a_name_that_is_not_there_is_told() -> None:
    with pytest.raises(
        MissingCheckpointError, match="no model named 'other' in the catalogue; there are: self-forcing"
    ):
        entry_named("other")


def test_folders_that_are_not_needed_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("LIPAR_MODELS", raising=False)
    part = entries()["self-forcing"].part("base")
    for file in part.without(["vae"]).files:
        path = tmp_path / part.repository / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = located("self-forcing", ["base"], str(tmp_path), without=["vae"])
    assert found == {"base": tmp_path / part.repository}
    with pytest.raises(MissingCheckpointError, match=r"2 files are missing .* or set adapter\.base"):
        located("self-forcing", ["base"], str(tmp_path))
