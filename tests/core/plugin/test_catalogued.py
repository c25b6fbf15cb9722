"""Models by their names in the catalogues of adapters, a third party's included."""

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from lipar import Config, ConfigError, load_plugins
from lipar.catalogue.entry import Entry, ModelPart, WantedFile
from lipar.config import PartConfig
from lipar.hookspecs import hookimpl
from lipar.plugin.catalogued import catalogue_of, entry_of
from lipar.plugin.parts import make_adapter
from lipar.testing.toy import ToyModel

PART = ModelPart(option="folder", repository="someone/model", files=(WantedFile("weights.safetensors"),))


def entry(name: str, adapter: str | None = "theirs", **changes: Any) -> Entry:
    facts = {"title": "a model", "licence": "MIT", "memory": "little", "parts": (PART,)}
    return Entry(name=name, adapter=adapter, **{**facts, **changes})


def plugin(*offered: Any) -> Any:
    """A plugin whose adapter offers these entries."""

    @attrs.frozen(kw_only=True)
    class Theirs:
        """A model of somebody else."""

        weights: str = "large"
        blocks: int = 3

        @classmethod
        def catalogue(cls) -> Sequence[Entry]:
            return offered

        def load(self, device: Any, dtype: Any) -> ToyModel:
            return ToyModel()

    class Plugin:
        @hookimpl
        def lipar_register_adapters(self, registry: Any) -> None:
            registry.add("theirs", Theirs)

    return Plugin()


def made(host: Any, name: str, **options: Any) -> Any:
    return make_adapter(host, Config(adapter=PartConfig(name, options)))


def test_a_model_by_its_name_is_its_adapter_with_the_options_of_the_entry() -> None:
    host = load_plugins(plugin(entry("large"), entry("small", options={"blocks": 1})))
    assert (made(host, "small").weights, made(host, "small").blocks) == ("small", 1)
    assert (made(host, "large").weights, made(host, "large").blocks) == ("large", 3)
    assert made(host, "small", blocks=7).blocks == 7
    assert made(host, "theirs").weights == "large"


def test_the_entries_of_every_adapter_are_in_one_catalogue() -> None:
    entries = catalogue_of(load_plugins(plugin(entry("small"))))
    assert {"small", "self-forcing", "wan2.2-ti2v-5b", "taew2_1"} <= entries.keys()


def test_the_name_of_an_adapter_stands_for_its_first_entry() -> None:
    host = load_plugins(plugin(entry("large"), entry("small")))
    assert entry_of(host, "theirs").name == "large"
    assert entry_of(host, "wan2.2-ti2v").name == "wan2.2-ti2v-5b"
    with pytest.raises(LookupError, match="the adapter 'tiny' has no files in the catalogue"):
        entry_of(host, "tiny")
    with pytest.raises(
        LookupError, match=r"no model named 'smal' in the catalogue; .*did you mean 'small'\?"
    ):
        entry_of(host, "smal")


def test_an_entry_without_an_adapter_is_refused_with_its_note() -> None:
    host = load_plugins(plugin(entry("part", None, note="for others")))
    with pytest.raises(ConfigError, match="part is in the catalogue, but no adapter runs it: for others"):
        made(host, "part")


def test_two_different_entries_of_one_name_are_refused() -> None:
    host = load_plugins(plugin(entry("self-forcing")))
    with pytest.raises(
        ValueError, match="'self-forcing' of the catalogue is offered twice, also by adapter 'theirs'"
    ):
        catalogue_of(host)


def test_something_else_than_an_entry_is_refused() -> None:
    with pytest.raises(TypeError, match="must give entries, got a str"):
        catalogue_of(load_plugins(plugin("large")))
