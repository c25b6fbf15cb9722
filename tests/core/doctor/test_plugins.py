"""The state of plugins, and what of the catalogue is here."""

import attrs
import pytest

from lipar import load_plugins
from lipar.doctor.plugins import catalogue_findings, plugin_findings
from lipar.plugin.catalogued import entry_of
from lipar.plugin.installed import Plugin

OWN, OTHER = Plugin("noise", "lipar", "0.1"), Plugin("peak", "lipar-peak", "0.2")


def states(plugins, disabled=()):
    return {finding.name: finding for finding in plugin_findings(plugins, disabled)}


def test_loaded_and_disabled_plugins_are_ok():
    found = states([OWN, OTHER, attrs.evolve(OTHER, name="dip", disabled=True)], ["dip"])
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["peak"].text.endswith("loaded") and found["dip"].text.endswith("disabled")
    assert found["lipar"].text == "1 loaded: noise"


@pytest.mark.parametrize(("plugin", "state"), [(OWN, "broken"), (OTHER, "warning")])
def test_a_plugin_that_failed_says_why(plugin, state):
    found = states([attrs.evolve(plugin, error="ImportError: no scipy")])[plugin.name]
    assert found.state == state and "no scipy" in found.text and found.advice


def test_a_name_that_disables_nothing_is_a_trap():
    assert states([OWN], ["peek"])["peek"].state == "warning"


def test_models_are_complete_partial_or_not_here(tmp_path, monkeypatch):
    monkeypatch.setattr("lipar.catalogue.places.hub_cache", lambda: tmp_path / "cache")
    host = load_plugins()
    (only,) = catalogue_findings(host, tmp_path)
    assert (
        only.state == "ok" and only.text.startswith("12 of 12")
    ) or "models of the catalogue are not here" in only.text
    part = entry_of(host, "taew2_1").parts[0]
    file = tmp_path / part.repository / part.files[0].path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"short")
    found = {finding.name: finding for finding in catalogue_findings(host, tmp_path)}
    size = part.files[0].size
    assert found["taew2_1"].state == ("ok" if size is None else "note")


def test_a_model_of_which_files_are_missing_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("lipar.catalogue.places.hub_cache", lambda: tmp_path / "cache")
    host = load_plugins()
    part = next(part for part in entry_of(host, "self-forcing").parts if len(part.files) > 1)
    file = next(file for file in part.files if file.size is None)
    path = tmp_path / part.repository / file.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    found = {finding.name: finding for finding in catalogue_findings(host, tmp_path)}["self-forcing"]
    assert found.state == "note" and found.advice == "lipar models fetch self-forcing"
