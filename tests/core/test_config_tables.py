"""Tables of a config: read from files, presets and settings, and laid over each other."""

from pathlib import Path

import pytest

from lipar.config import build_config
from lipar.config_tables import ConfigError, merge, parse_setting


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("seed=3", {"seed": 3}),
        ("prune.tau_short = 0.1", {"prune": {"tau_short": 0.1}}),
        ("adapter=self-forcing", {"adapter": "self-forcing"}),
        ("refiners=['median']", {"refiners": ["median"]}),
        ("prune.scene_cuts=false", {"prune": {"scene_cuts": False}}),
        ("prune.keep = nan", {"prune": {"keep": float("nan")}}),
        ("prune={keep=0.5, scene_cuts=false}", {"prune": {"keep": 0.5, "scene_cuts": False}}),
        ("refiners=[\n'median', # smooth\n'threshold'\n]", {"refiners": ["median", "threshold"]}),
        ('adapter.weights="a # b"', {"adapter": {"weights": "a # b"}}),
        ("adapter.weights=models/a # b", {"adapter": {"weights": "models/a # b"}}),
        ("seed=1\n", {"seed": 1}),
    ],
)
def test_a_setting_is_toml_or_a_bare_word(text, table):
    assert repr(parse_setting(text)) == repr(table)


def test_merging_tables_keeps_what_is_not_named_again():
    assert merge({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}}) == {"a": {"x": 1, "y": 4}, "b": 3}


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(LookupError, match=r"no preset named 'relesed'; there are: .*released"):
        build_config(preset="relesed")


def test_a_toml_error_gives_the_file_and_the_line(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text("seed = 1\n[prune\n")
    with pytest.raises(ConfigError, match=r"bad\.toml is not valid TOML: .*line 2"):
        build_config(file=file)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the config .*absent\.toml"):
        build_config(file=tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"seed = 1 # \xe9\n")
    with pytest.raises(ConfigError, match=r"cannot read the config .*latin\.toml"):
        build_config(file=tmp_path / "latin.toml")


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "a = " + "[" * 5000, "a" + ".a" * 5000 + " = 1"])
def test_toml_that_no_parser_takes_is_refused_as_the_rest_is(tmp_path, text):
    (tmp_path / "odd.toml").write_text(text)
    with pytest.raises(ConfigError):
        build_config(file=tmp_path / "odd.toml")


def test_a_config_without_end_is_not_read_to_its_end():
    with pytest.raises(ConfigError, match="has more than 1048576 bytes, which no config needs"):
        build_config(file=Path("/dev/zero"))
