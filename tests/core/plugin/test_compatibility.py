"""What cannot run together is refused before a model is loaded, with both parts named and the reason."""

import types

import attrs
import pytest

from lipar import Config, ConfigError, Scheduler, build_config, load_plugins
from lipar.hookspecs import hookimpl
from lipar.plugin.compatibility import CAUSAL, FACTS, Giver, check_config, needs_of, spoken
from lipar.plugin.registry import KINDS
from lipar.protocols import ClipAdapter, StreamingAdapter
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_plugins.noise_sources import NoisyChain
from lipar_plugins.recoveries import MDegree


@attrs.frozen
class Heavy:
    """An adapter whose weights must not be read."""

    image: bool = False

    @property
    def gives(self):
        return frozenset({"clean-first-frame", "causal-cache"} if self.image else {"causal-cache"})

    def load(self, device, dtype):
        raise AssertionError("loaded before the parts were checked")


@attrs.frozen
class Image(Heavy):
    gives = frozenset({"clean-first-frame", "causal-cache"})


@attrs.define
class ImageCondition(NoisyChain):
    needs = frozenset({"clean-first-frame"})


@attrs.frozen(kw_only=True)
class Weighted(MDegree):
    needs = frozenset({"attention-bias"})


@attrs.frozen
class Typo(MDegree):
    needs = frozenset({"atention-bias"})


def plugin(**parts):
    """A plugin that offers parts by kind and name: `noise={"image": Class}`."""
    module = types.ModuleType("strange")
    for kind, offered in parts.items():

        def register(registry, offered=offered):
            for name, part in offered.items():
                registry.add(name, part)

        setattr(module, f"lipar_register_{KINDS[kind]}", hookimpl(register))
    return module


HOST = load_plugins(
    plugin(
        noise={"image-condition-test": ImageCondition},
        recovery={"weighted-test": Weighted, "typo": Typo},
        adapter={"heavy": Heavy, "image": Image},
    )
)


def config(*settings):
    return build_config(settings=["adapter=heavy", *settings])


def test_a_part_and_the_adapter_that_lacks_its_need_are_named_with_the_reason_and_a_way_out():
    with pytest.raises(ConfigError) as refused:
        check_config(HOST, config("noise=image-condition-test"))
    said = str(refused.value)
    assert said.startswith(
        "noise 'image-condition-test' needs a clean first frame among the tokens, which adapter 'heavy' does not "
        "give; a noise that runs there: "
    )
    assert (
        "kv-cache" in said and "; an adapter that gives it: " in said and "image" in said.split("adapter")[-1]
    )


def test_everything_that_does_not_fit_is_said_at_once():
    with pytest.raises(
        ConfigError, match=r"recovery 'weighted-test' needs .*; noise 'image-condition-test' needs"
    ):
        check_config(HOST, config("noise=image-condition-test", "recovery=weighted-test"))


def test_an_option_may_decide_what_an_adapter_gives():
    settings = ("noise=image-condition-test", "adapter.image=true")
    assert check_config(HOST, config(*settings)).image


def test_a_noise_source_that_is_not_asked_needs_nothing():
    check_config(HOST, config("noise=image-condition-test", "recovery=none"))


def test_an_unknown_fact_is_refused_with_the_list():
    with pytest.raises(ConfigError) as refused:
        check_config(HOST, config("recovery=typo"))
    assert str(refused.value) == (
        "recovery 'typo' needs 'atention-bias', which is no fact; "
        f"there are: {', '.join(FACTS)}; did you mean 'attention-bias'?"
    )
    with pytest.raises(ConfigError, match="adapter 'x' gives 'source'; write a set of facts"):
        Giver.of(types.SimpleNamespace(gives="source"), "adapter 'x'")


@pytest.mark.parametrize(
    ("refiners", "said"),
    [
        ("[]", "the refiners make no mask"),
        ("['median']", "the refiners make no mask"),
        ("['dilate','threshold']", "'dilate' refines a mask, but none was made before it"),
        ("['threshold','gaussian-threshold']", "'gaussian-threshold' makes the mask, but one was made"),
    ],
)
def test_a_chain_that_cannot_make_a_mask_is_refused_before_loading(refiners, said):
    with pytest.raises(ConfigError, match=f"refiners: .*{said}"):
        check_config(HOST, config(f"refiners={refiners}"))


def test_what_says_nothing_needs_nothing_and_gives_what_a_causal_model_gives():
    assert needs_of(MDegree(), "recovery 'm-degree'") == frozenset()
    assert Giver.of(object(), "model").facts == CAUSAL


def test_a_scheduler_asks_its_model():
    model = ToyModel(autoencoder=ToyAutoencoder())
    Scheduler(model, build_config(settings=["recovery=weighted-test"]), host=HOST)
    model.gives = CAUSAL - {"attention-bias"}
    with pytest.raises(ConfigError, match="which model ToyModel does not give"):
        Scheduler(model, build_config(settings=["recovery=weighted-test"]), host=HOST)
    Scheduler(model, Config(), host=HOST)


def test_facts_are_spoken_in_the_order_of_their_table():
    assert (
        spoken({"source", "causal-cache"}) == "a KV cache of the frames before the block and a source video"
    )


@attrs.frozen
class Clips(ClipAdapter):
    """An adapter of whole clips that forgets to say what it lacks."""

    def load(self, device, dtype):
        raise AssertionError("loaded before it was checked")


def test_an_adapter_of_whole_clips_is_refused_by_its_type_where_a_video_goes_block_by_block():
    host = load_plugins(plugin(adapter={"clips": Clips}))
    assert "causal-cache" in Clips().gives
    with pytest.raises(
        ConfigError, match=r"adapter 'clips' generates a whole clip in a single pass.*block by block"
    ):
        check_config(host, build_config(settings=["adapter=clips"]))


def test_every_adapter_of_lipar_streams_or_makes_clips_and_its_facts_agree():
    for part in HOST.registries["adapter"]:
        if part.own:
            streams = issubclass(part.part, StreamingAdapter)
            assert streams != issubclass(part.part, ClipAdapter)
            assert streams == ("causal-cache" in Giver.of(part.part, part.name).facts)
