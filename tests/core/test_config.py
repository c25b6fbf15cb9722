"""Configs from presets, files and settings, and what a wrong one is told."""

import pytest

from lipar.config import Config, ConfigError, build_config, parse_config, presets


def test_nothing_given_is_the_default():
    assert build_config() == Config()


def test_every_preset_parses():
    assert "released" in presets()
    for preset in presets():
        assert isinstance(build_config(preset=preset), Config)


def test_the_released_preset_is_the_authors_release():
    released = build_config(preset="released")
    assert released.criterion.name == "l1-trimmed"
    assert released.prune.first_frames == 1
    assert (released.cache.sink_frames, released.cache.window_frames) == (1, 6)
    assert released.steps == (400, 300, 250)


def test_a_setting_goes_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("seed = 5\n[prune]\ntau_short = 0.2\ntau_long = 0.4\n")
    config = build_config(preset="released", file=file, settings=["prune.tau_short=0.25"])
    assert (config.prune.tau_short, config.prune.tau_long, config.prune.first_frames) == (0.25, 0.4, 1)
    assert config.seed == 5


def test_an_option_goes_to_the_part_that_stands_there_and_leaves_with_it():
    assert build_config(settings=["recovery.degree=2"]).recovery.options == {"degree": 2}
    replaced = build_config(settings=["recovery.degree=2", "recovery=none"]).recovery
    assert (replaced.name, replaced.options) == ("none", {})


BAD = {
    "stregth=0.4": ["'stregth'", "did you mean 'strength'"],
    "prune.tau_shrt=0.1": ["'tau_shrt'", "prune", "did you mean 'tau_short'"],
    "prune.tau_short=high": ["prune.tau_short", "'high'"],
    "prune.tau_short=true": ["prune.tau_short", "True"],
    "prune.tau_short=-1.0": ["prune", "-1.0"],
    "prune.tau_short=nan": ["prune", "nan"],
    "prune.first_frames=0": ["prune", "0"],
    "prune.first_frames=1.5": ["prune.first_frames", "1.5"],
    "prune.scene_cuts=1": ["prune.scene_cuts", "true or false", "1"],
    "prune.scene_cuts=yes": ["prune.scene_cuts", "'yes'"],
    "prune=3": ["prune", "table", "3"],
    "cache.positions=roling": ["cache.positions", "'roling'", "'rolling'", "'absolute'"],
    "cache.window_frames=-3": ["cache", "-3"],
    "cache.sink_frames=one": ["cache.sink_frames", "'one'"],
    "strength=1.5": ["strength", "1.5"],
    "strength=true": ["strength", "True"],
    "strength=strong": ["strength", "'strong'"],
    "seed=1.5": ["seed", "1.5"],
    "seed=-1": ["seed", "-1"],
    "seed=true": ["seed", "True"],
    "steps=[250,400]": ["steps", "[250, 400]"],
    "steps=[1200]": ["steps", "1200"],
    "steps=[400.5]": ["steps", "400.5"],
    "steps=['400']": ["steps", "'400'"],
    "steps=[]": ["steps", "[]"],
    "steps=400": ["steps", "400"],
    "refiners=median": ["refiners", "list", "'median'"],
    "refiners=[1]": ["refiners[0]", "1"],
    "criterion=3": ["criterion", "3"],
    "nonsense": ["key=value", "'nonsense'"],
    "=3": ["key=value", "'=3'"],
    "prune..x=3": ["key=value"],
    "seed=": ["one value", "''"],
    "seed=1\nfoo=2": ["one value", "'1\\nfoo=2'"],
    "seed=1\n[prune]\nkeep=0.5": ["one value", "keep"],
    "seed=1\n# two": ["one value", "# two"],
    "adapter=tiny\nseed=2": ["one value", "'tiny\\nseed=2'"],
    "adapter='tiny'\rseed=2": ["one value", "seed=2"],
    "seed\nfoo=2": ["unknown key", "'seed\\nfoo'"],
    "[prune]\nkeep=0.5": ["unknown key", "'[prune]\\nkeep'"],
    "seed=1 # two": ["seed", "'1 # two'"],
    "seed=1, 2": ["seed", "'1, 2'"],
    "seed=1,": ["seed", "'1,'"],
    "seed=1] # [": ["seed", "'1] # ['"],
    "steps=[400]\nvalue=[300": ["one value"],
    "seed=[1]\nvalue.x = [1": ["one value"],
    "seed=" + "[" * 5000: ["seed"],
    "seed=" + "9" * 5000: ["seed"],
    "seed=1979-05-27": ["seed", "date"],
}


@pytest.mark.parametrize(("setting", "told"), BAD.items(), ids=BAD)
def test_a_bad_setting_is_told_its_key_its_value_and_what_there_is(setting, told):
    with pytest.raises(ConfigError) as caught:
        build_config(settings=[setting])
    assert all(part in str(caught.value) for part in told), caught.value


def test_a_model_may_have_any_name():
    for name in ("tiny", "it's", 'a"b', "a'b\"c", "a\nb", "{x=1}", "1"):
        assert build_config(settings=[{"adapter": name}]).adapter.name == name


def test_a_whole_number_will_do_for_a_fraction():
    assert parse_config({"prune": {"tau_short": 1}}).prune.tau_short == 1.0


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (["steps=[400,300,250]"], (400, 300, 250)),
        (["steps=[400,300,250]", "strength=0.2"], (200, 150, 125)),
        (["strength=0.2", "steps=[1000,500]"], (200, 100)),
        (["strength=0.2"], None),
    ],
)
def test_steps_are_scaled_to_the_strength_wherever_that_was_set(tmp_path, settings, steps):
    assert build_config(settings=settings).scaled_steps == steps
    file = tmp_path / "mine.toml"
    file.write_text("\n".join(settings))
    assert build_config(file=file).scaled_steps == steps


def test_steps_alone_say_the_strength():
    assert build_config(preset="released").strength == 0.4
    assert Config(steps=(1000,)).strength == 1.0
    assert Config(steps=(400, 300), strength=None).scaled_steps == (400, 300)


def test_regions_are_auto_on_or_off():
    assert build_config().decode.regions == "off"
    assert build_config(settings=["decode.regions=auto"]).decode.regions == "auto"
    with pytest.raises(ConfigError, match=r"decode\.regions must be 'auto' or 'on' or 'off', got 'some'"):
        build_config(settings=["decode.regions=some"])
