"""The config of `lipar.enable`: keywords, dicts and configs, and defaults that fit the model."""

import copy
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from wan_toys import toy_pipeline

import lipar
from lipar.cli.options import ConfigChoice
from lipar.config import Config, ConfigError, PartConfig, PruneConfig, build_config
from lipar.enabling.settings import EnableOptions, config_of, fitted
from lipar.enabling.target import target_for
from lipar_adapters.time_to_move.run import config_of as motion_config

HOST = lipar.load_plugins()
ONE_PASS = frozenset({"attention-bias", "source"})
CAUSAL = ONE_PASS | {"causal-cache", "pixels"}


def read(config: Any = None, facts: frozenset[str] = ONE_PASS, **options: Any) -> Config:
    return config_of(config, options, HOST, facts)


def test_a_default_that_cannot_run_there_is_replaced_and_one_that_can_is_not() -> None:
    assert read().noise.name == "filtering"
    assert read(facts=CAUSAL).noise.name == "step-shift"
    assert attrs.evolve(read(), noise=Config().noise) == Config()


@pytest.mark.parametrize(
    "config",
    [
        Config(prune=PruneConfig(keep=0.5)),
        build_config(settings=["prune.keep=0.5"]),
        {"prune": {"keep": 0.5}},
        copy.deepcopy(Config(prune=PruneConfig(keep=0.5))),
    ],
    ids=["Config", "build_config", "dict", "a copy"],
)
def test_every_form_of_config_means_the_same(config: Any) -> None:
    assert read(config) == read(keep=0.5)
    assert read(keep=0.5).prune.keep == 0.5


@pytest.mark.parametrize(
    "config",
    [
        Config(noise=PartConfig("step-shift")),
        build_config(settings=["noise=step-shift"]),
        {"noise": "step-shift"},
        {"noise": {"name": "step-shift"}},
    ],
    ids=["Config", "build_config", "dict", "table"],
)
def test_a_part_that_was_chosen_stays_and_is_refused(config: Any) -> None:
    assert read(config).noise.name == "step-shift"
    with pytest.raises(
        ConfigError, match="noise 'step-shift' needs a KV cache of the frames before the block"
    ):
        lipar.enable(toy_pipeline("t2v"), config)
    with pytest.raises(
        ConfigError, match="noise 'step-shift' needs a KV cache of the frames before the block"
    ):
        lipar.enable(toy_pipeline("t2v"), noise="step-shift")


def test_an_option_without_a_name_goes_to_the_part_that_runs_there() -> None:
    assert read({"noise": {"name": "filtering"}}) == read()
    assert read({"restorer": {"name": "blend"}}).noise.name == "filtering"


def test_the_options_of_ttm_change_single_keys_of_the_same_defaults() -> None:
    found = motion_config(HOST, ConfigChoice(settings=("prune.keep=0.5",)))
    assert found == read(keep=0.5)
    with pytest.raises(ConfigError, match=r"noise 'filtering' of lipar .* has no option 'shft'"):
        motion_config(HOST, ConfigChoice(settings=("noise.shft=true",)))
    assert motion_config(HOST, ConfigChoice()) is None


def test_a_part_that_is_not_installed_is_no_replacement() -> None:
    without = lipar.load_plugins(disabled=["noise"])
    assert fitted(Config(), without, ONE_PASS).noise.name == "step-shift"


def test_keywords_are_the_keys_of_a_config_and_go_before_a_dict() -> None:
    found = read(
        {"prune": {"keep": 0.3}, "criterion": "l2"},
        keep=0.5,
        full_steps=4,
        recheck=3,
        recovery="naive-copy",
        noise={"name": "noisy-chain"},
        refiners=["threshold", "median"],
    )
    assert (found.prune.keep, found.criterion.name, found.recovery.name) == (0.5, "l2", "naive-copy")
    assert (found.self_redundancy.full_steps, found.self_redundancy.recheck) == (4, 3)
    assert [part.name for part in found.refiners] == ["threshold", "median"]
    assert found.noise.name == "noisy-chain"


def test_every_keyword_is_a_key_of_a_config() -> None:
    known = {field.name: field for field in attrs.fields(Config)}
    sections = [known["prune"].type, known["self_redundancy"].type]
    keys = {*known, *(name for section in sections for name in attrs.fields_dict(section))}
    assert set(EnableOptions.__annotations__) <= keys


def test_enable_takes_keywords() -> None:
    pipe = toy_pipeline("v2v")
    lipar.enable(pipe, tau_short=0.2, tau_long=0.4)
    config = target_for(pipe, HOST).session_of(pipe).config  # type: ignore[union-attr]
    assert (config.prune.tau_short, config.prune.tau_long) == (0.2, 0.4)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"kep": 0.5}, TypeError, "no keyword 'kep'; config keywords: keep, .*; did you mean 'keep'"),
        ({"steps": (400, 300)}, TypeError, "lipar.enable has no keyword 'steps'"),
        ({"keep": 2.0}, ConfigError, "keep"),
        ({"keep": "half"}, ConfigError, "prune.keep must be a number, got 'half'"),
        ({"keep": 0.5, "quantile": 0.5}, ConfigError, "thresholds are set in one way, got quantile and keep"),
        ({"recheck": 3}, ConfigError, "set full_steps as well"),
        ({"noise": "filterin"}, ConfigError, "no noise named 'filterin'.*did you mean 'filtering'"),
    ],
)
def test_what_is_no_keyword_is_refused(options: dict[str, Any], error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        lipar.enable(toy_pipeline("v2v"), **options)


def test_a_config_and_keywords_are_refused_together() -> None:
    with pytest.raises(TypeError, match=r"a lipar\.Config says everything already.*the keywords keep"):
        read(Config(), keep=0.5)


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ({"prune": {"kep": 0.5}}, ConfigError, "unknown key 'kep' in prune; .* did you mean 'keep'"),
        ({"prune": 0.5}, ConfigError, "prune must be a table, got 0.5"),
        ({"prune": {"keep": 2.0}}, ConfigError, "keep"),
        ("fast.toml", TypeError, r"got str: lipar\.build_config\(file=\.\.\.\) reads a file"),
        (Path("fast.toml"), TypeError, r"lipar\.build_config\(file=\.\.\.\) reads a file"),
        (
            torch.zeros(9, 3, 32, 48),
            TypeError,
            r"got Tensor: a source or a layout is given by its name, source=\.\.\.",
        ),
        ([], TypeError, "a dict of its tables, or None; got list"),
        (False, TypeError, "got bool"),
    ],
)
def test_what_is_no_config_is_refused(config: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        read(config)
