"""`lipar check` says "can run" of exactly the configs that `lipar edit` does not refuse."""

import sys
import warnings

import attrs
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tools.fuzz_configs import HOST, Toy, ToyPlugin, make_masks, runs, says_can_run

import lipar.plugin.host
from lipar import ConfigError, build_config, load_plugins
from lipar.cli import main
from lipar.hookspecs import hookimpl
from lipar.plugin.compatibility import check_config
from lipar.spec import AutoencoderSpec, ModelSpec
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.tiny.adapter import Tiny
from lipar_adapters.wan.random_weights import RandomWan


@pytest.fixture(scope="session")
def masks(tmp_path_factory):
    return make_masks(tmp_path_factory.mktemp("masks"))


def part(name, **options):
    return st.fixed_dictionaries({"name": st.just(name)}, optional=options)


MASKS = st.sampled_from(["good.npy", "good.npy", "text.npy", "nan.npy", "text.mp4", "empty.mp4", "no.npy"])
TAUS = st.sampled_from([0.01, 0.2, 0.5, 2.0])
SIMPLE = st.one_of(
    st.sampled_from(["l1", "cosine", "relative-l1", "pixel"]).map(lambda name: {"name": name}),
    part("l1-trimmed", trim=st.sampled_from([0.1, 0.4])),
    part("l2", normalise=st.sampled_from(["rms", "released"])),
    MASKS.map(lambda file: {"name": "mask", "path": file}),
)
CHILDREN = st.tuples(SIMPLE, st.fixed_dictionaries({}, optional={"tau_short": TAUS, "tau_long": TAUS}))
CRITERIA = st.one_of(
    SIMPLE,
    st.builds(
        lambda name, children: {"name": name, "of": [{**child, **taus} for child, taus in children]},
        st.sampled_from(["union", "intersection"]),
        st.lists(CHILDREN, min_size=1, max_size=3),
    ),
)
NAMES = {
    kind: [part.name for part in HOST.registries[kind]]
    for kind in ("refiner", "recovery", "noise", "restorer", "merging", "reuse")
}
CONFIGS = st.fixed_dictionaries(
    {
        "adapter": st.fixed_dictionaries(
            {"name": st.just("toy")},
            optional={
                "block_frames": st.sampled_from([1, 2, 4]),
                "autoencoder": st.sampled_from([True, True, False]),
            },
        )
    },
    optional={
        "criterion": CRITERIA,
        "refiners": st.lists(st.sampled_from(NAMES["refiner"]), max_size=4),
        "recovery": st.sampled_from(NAMES["recovery"]),
        "noise": st.sampled_from(NAMES["noise"]),
        "restorer": st.sampled_from(NAMES["restorer"]),
        "merging": st.sampled_from(["none", "none", *NAMES["merging"]]),
        "reuse": st.one_of(
            st.sampled_from(["none", "none", *NAMES["reuse"]]),
            st.fixed_dictionaries(
                {"name": st.sampled_from(NAMES["reuse"]), "fraction": st.sampled_from([0.4, 0.6])}
            ),
        ),
        "cache": st.fixed_dictionaries(
            {}, optional={"window_frames": st.integers(0, 9), "sink_frames": st.integers(0, 5)}
        ),
        "prune": st.one_of(
            st.fixed_dictionaries({}, optional={"tau_short": TAUS, "tau_long": TAUS}),
            st.just({"keep": 0.5}),
            st.just({"quantile": 0.7, "first_frames": 1}),
            st.just({"scene_cuts": False, "long_reference": "thresholded"}),
        ),
        "self_redundancy": st.sampled_from([{}, {}, {"full_steps": 2}]),
        "steps": st.sampled_from([[400], [900, 300]]),
        "strength": st.sampled_from([0.0, 0.4, 1.0]),
    },
)


def with_files(value, files):
    """The names of mask files made paths."""
    if isinstance(value, dict):
        return {key: str(files[e]) if key == "path" else with_files(e, files) for key, e in value.items()}
    return [with_files(entry, files) for entry in value] if isinstance(value, list) else value


@settings(max_examples=40)
@given(table=CONFIGS, dense=st.sampled_from([False, False, True]))
def test_check_says_can_run_if_and_only_if_the_run_is_not_refused(table, dense, masks):
    try:
        config = build_config(settings=[with_files(table, masks)])
    except ConfigError:
        event("refused by itself")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = says_can_run(config, dense=dense)
        event(f"can run: {said}")
        assert said == runs(config, dense=dense)


REFUSED = {
    "self_redundancy.full_steps=2": "self_redundancy reads what a model predicts",
    "cache.window_frames=1": "a window of 1 frames includes the block's own 3; set cache.window_frames to at least 4",
    "cache.window_frames=3": "a window of 3 frames has room only for the block's own 3",
    "criterion={name='mask', path='no/mask.mp4'}": "there is no mask at no/mask.mp4",
    "criterion={name='union', of=['l1', {name='mask', path='no.npy'}]}": "there is no mask at no.npy",
    "criterion={name='l2', normalise='released'}": "criterion 'l2' has no default thresholds here",
    "prune.tau_short=0.5": "tau_long must be at least tau_short, got 0.3 and 0.5",
    "reuse={name='step-skip', fraction=0.7}": "reuse 'step-skip': fraction must be at most 0.5 with 2 denoise steps",
    "merging={name='none', fraction=0.3}": "merging is 'none', which has no option 'fraction'",
    "adapter={name='toy', autoencoder=false}": "this model has no autoencoder, so it cannot edit pixels",
    "adapter=random-wan": "this model has no autoencoder, so it cannot edit pixels",
    "adapter=self-forcing": "15 files are missing",
    "adapter={name='self-forcing', checkpoint='no.pt'}": "there is nothing at no.pt",
    "adapter={name='tiny', weights='no'}": "no is not whole; missing: model_config.json",
    "adapter={name='random-wan', shape='huge'}": "no shape named 'huge'",
}


@pytest.mark.parametrize(("setting", "said"), REFUSED.items(), ids=REFUSED)
def test_check_and_edit_refuse_the_same_in_the_same_words(setting, said, monkeypatch, capsys, tmp_path):
    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(ToyPlugin(), **options))
    monkeypatch.setattr(Toy, "load", lambda *_: pytest.fail("the model was loaded"))
    monkeypatch.chdir(tmp_path)
    printed = []
    for command in (["check"], ["edit", "--prompt", "night", "-o", "out.mp4"]):
        monkeypatch.setattr(sys, "argv", ["lipar", *command, "--model", "toy", "--set", setting])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        printed.append(capsys.readouterr().err)
    assert printed[0] == printed[1]
    assert said in printed[0]


def test_a_dense_edit_copies_nothing_and_may_have_the_window_of_its_block():
    config = build_config(settings=[{"adapter": "toy"}, "cache.window_frames=3"])
    check_config(HOST, config, dense=True)
    assert runs(config, dense=True)
    with pytest.raises(ConfigError, match="has room only for"):
        check_config(HOST, config)


def test_a_recovery_that_copies_nothing_may_have_the_window_of_its_block():
    config = build_config(settings=[{"adapter": "toy"}, "cache.window_frames=3", "recovery=none"])
    check_config(HOST, config)
    assert runs(config)


def test_the_spec_of_the_bundled_model_is_that_of_the_loaded_one():
    assert Tiny().spec() == ModelSpec.of(Tiny().load(torch.device("cpu"), torch.float32))


def test_the_spec_of_a_random_model_is_that_of_the_loaded_one():
    adapter = RandomWan(layers=1)
    model = adapter.load(torch.device("cpu"), torch.float32)
    assert adapter.spec() == ModelSpec.of(model)


def test_the_spec_of_self_forcing_is_what_its_options_say(tmp_path):
    (tmp_path / "model.pt").touch()
    options = {
        "checkpoint": str(tmp_path / "model.pt"),
        "autoencoder": "none",
        "window_frames": 9,
        "block_frames": 4,
    }
    assert SelfForcing(**options).spec() == ModelSpec(
        block_frames=4, sink_frames=1, window_frames=9, edit_steps=3, text_to_video_steps=4
    )


def test_the_spec_of_an_autoencoder_is_its_frames_and_thresholds():
    wanted = AutoencoderSpec(first_pixel_frames=4, next_pixel_frames=4, tau_short=0.15, tau_long=0.3)
    assert AutoencoderSpec.of(ToyAutoencoder()) == AutoencoderSpec.of(wanted) == wanted
    assert ModelSpec.of(ToyModel()).autoencoder is None


@attrs.frozen
class Silent:
    """An adapter that says nothing of its model."""

    def load(self, device, dtype):
        return ToyModel(autoencoder=ToyAutoencoder())


@attrs.frozen
class Wrong(Silent):
    def spec(self):
        return {"block_frames": 3}


class Adapters:
    @hookimpl
    def lipar_register_adapters(self, registry):
        registry.add("silent", Silent)
        registry.add("wrong", Wrong)


def test_an_adapter_may_say_nothing_but_no_nonsense():
    host = load_plugins(Adapters())
    check_config(host, build_config(settings=["adapter=silent", "cache.window_frames=1"]))
    with pytest.raises(ConfigError, match=r"spec\(\) of adapter 'wrong' must give a lipar\.spec\.ModelSpec"):
        check_config(host, build_config(settings=["adapter=wrong"]))


@pytest.mark.parametrize(
    ("free", "code", "verdict"), [(2**40, 0, "it fits"), (1000, 1, "it will probably not fit")]
)
def test_the_memory_of_a_run_is_printed_with_what_saves_how_much(monkeypatch, capsys, free, code, verdict):
    monkeypatch.setattr("lipar.memory.switches.free_bytes", lambda _: free)
    asked = ["lipar", "check", "--memory", "--resolution", "256x192", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", asked)
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code
    said = capsys.readouterr().out
    assert "GiB at 256x192 pixels" in said and verdict in said and "--set adapter.quantise=int8" in said


def test_an_adapter_without_an_estimate_says_so(monkeypatch, capsys):
    monkeypatch.setattr(Tiny, "memory_needs", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["lipar", "check", "--memory"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code and "does not know what memory it takes" in capsys.readouterr().out
