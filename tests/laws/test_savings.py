"""Merging and reuse save work next to pruning; where they save nothing, nothing changes, bit for bit."""

import attrs
import pytest
import torch
from engine_toys import use_replay
from hypothesis import given
from hypothesis import strategies as st

from lipar import Scheduler, build_config, load_plugins
from lipar.attention.block import sdpa
from lipar.config import ConfigError
from lipar.hookspecs import hookimpl
from lipar.protocols import Merging, Reuse
from lipar.testing.closeness import assert_near
from lipar.testing.toy import ToyAutoencoder, ToyModel

HOST = load_plugins()
MERGINGS = [part.name for part in HOST.registries["merging"]]
REUSES = [part.name for part in HOST.registries["reuse"]]
ALL = "refiners=['keep-all']"


def source(frames=9, seed=0):
    """Half of each frame moves."""
    generator = torch.Generator().manual_seed(seed)
    still = torch.randn(1, 1, 4, 8, 8, generator=generator).repeat(1, frames, 1, 1, 1)
    still[..., :4, :] += torch.randn(1, frames, 4, 4, 8, generator=generator)
    return still


def toy(**options):
    model = ToyModel(autoencoder=ToyAutoencoder(), **options)
    model.set_prompt("a dog")
    return model


def edit(*settings, model=None, video=None, host=HOST, **options):
    config = build_config(settings=["prune.scene_cuts=false", *settings])
    blocks = Scheduler(model or toy(), config, host=host, **options).run(
        [source() if video is None else video]
    )
    return torch.cat([block.latents for block in blocks], dim=1)


@pytest.mark.parametrize(
    "saving", [*(f"merging={name}" for name in MERGINGS), *(f"reuse={name}" for name in REUSES)]
)
@pytest.mark.parametrize(
    "pruned", [[], [ALL], ["prune.keep=0.5", "noise=kv-cache"]], ids=["default", "all", "half"]
)
@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_with_fraction_0_a_run_is_the_one_without(saving, pruned, guidance_scale):
    kind = saving.partition("=")[0]
    options = {"guidance_scale": guidance_scale}
    ours = edit(*pruned, saving, f"{kind}.fraction=0", model=toy(**options))
    assert torch.equal(ours, edit(*pruned, model=toy(**options)))


@given(seed=st.integers(0, 2**16))
def test_where_every_token_is_kept_and_none_is_merged_a_run_is_the_dense_one(seed):
    video = source(seed=seed)
    assert torch.equal(edit(ALL, video=video), edit(video=video, dense=True))


@pytest.mark.parametrize(
    "saving", [*(f"merging={name}" for name in MERGINGS), *(f"reuse={name}" for name in REUSES)]
)
def test_a_dense_run_merges_and_reuses_nothing(saving):
    assert torch.equal(edit(saving, dense=True), edit(dense=True))


@pytest.mark.parametrize(
    "saving", [*(f"merging={name}" for name in MERGINGS), *(f"reuse={name}" for name in REUSES)]
)
@pytest.mark.parametrize(
    "pruned", [[ALL], ["prune.keep=0.5"], ["recovery=none"], ["recovery=proportional"]], ids=str
)
def test_it_changes_the_result_by_little_comes_again_and_runs_with_pruning(saving, pruned):
    kind = saving.partition("=")[0]
    settings = [*pruned, saving, f"{kind}.fraction=0.3"]
    ours = edit(*settings)
    assert bool(ours.isfinite().all())
    assert not torch.equal(ours, edit(*pruned))
    assert torch.equal(ours, edit(*settings))


class Kernel:
    """Counts the queries and keys of each attention."""

    def __init__(self, model):
        self.sizes = []
        transform = model._transform

        def counted(tokens, condition, attention):
            attend = attention.attend

            def attending(layer_idx, q, k, v, kernel):
                def counting(q, k, v, *bias):
                    self.sizes.append((layer_idx, attention.forward_pass.step, q.shape[1], k.shape[1]))
                    return sdpa(q, k, v, *bias)

                return attend(layer_idx, q, k, v, counting)

            return transform(tokens, condition, _Attending(attention, attending))

        model._transform = counted


class _Attending:
    def __init__(self, attention, attend):
        self.layout, self.attend = attention.layout, attend


@pytest.mark.parametrize("name", MERGINGS)
def test_attention_computes_the_fraction_that_was_left_in_every_layer_and_step_but_the_clean_pass(name):
    model = toy()
    kernel = Kernel(model)
    edit(ALL, f"merging={name}", "merging.fraction=0.25", model=model, video=source(3))
    tokens, left = 48, 36
    steps = {(step, q, k) for _, step, q, k in kernel.sizes}
    assert steps == {(0, left, left), (1, left, left), (-1, tokens, tokens)}


@pytest.mark.parametrize("name", REUSES)
def test_the_model_computes_the_fraction_of_tokens_that_was_left_but_attends_to_all(name):
    model = toy()
    kernel = Kernel(model)
    edit(ALL, f"reuse={name}", "reuse.fraction=0.25", model=model, video=source(6))
    first, later = kernel.sizes[: 3 * 2 - 1], kernel.sizes[3 * 2 - 1 :]
    assert {q for _, _, q, _ in first} == {48}
    by_step = {step: (q, k) for _, step, q, k in later}
    assert by_step[0][0] + by_step[1][0] == round(0.75 * 2 * 48)
    assert by_step[0][1] == by_step[1][1] == by_step[-1][1]


@attrs.frozen
class Halves(Reuse):
    """The upper half of each frame in the second step."""

    def computed(self, change, keep_mask, steps):
        mask = keep_mask.clone()
        mask[:, mask.shape[1] // 2 :] = False
        return [keep_mask, *[mask] * (steps - 1)]


class Watch:
    """The flow and the layout of each pass."""

    def __init__(self):
        self.passes = []

    @hookimpl
    def lipar_register_reuses(self, registry):
        registry.add("halves", Halves)

    @hookimpl(wrapper=True)
    def lipar_forward(self, job, latents, forward_pass, layout):
        flow = yield
        self.passes.append((forward_pass, latents.clone(), layout, flow))
        return flow


def test_a_token_that_is_not_computed_keeps_its_clean_estimate():
    watch = Watch()
    result = edit(ALL, "reuse=halves", host=load_plugins(watch), video=source(6))
    (first, noisy, layout, flow), (_, _, partial, _), _ = watch.passes[3:]
    estimate = (noisy.double() - first.sigma * flow.double()).float()
    assert (layout.kept_count, partial.kept_count) == (48, 24)
    assert_near(result[:, 3:, :, 4:], estimate[:, :, :, 4:], 1e-6)
    assert not torch.equal(result[:, 3:, :, :4], estimate[:, :, :, :4])


def test_computed_tokens_attend_to_the_others_as_they_were_in_the_step_before():
    # if the second step sees what the first one saw, its tokens have the same flow
    watch = Watch()
    model = toy()
    forward, noisy = model.forward, {}

    def repeated(latents, forward_pass, attention):
        first = attention.layout.first_frame
        if forward_pass.step == 0:
            noisy[first] = latents, forward_pass
        if forward_pass.step == 1:
            latents, forward_pass = noisy[first]
        return forward(latents, forward_pass, attention)

    model.forward = repeated
    edit(ALL, "reuse=halves", host=load_plugins(watch), model=model, video=source(6))
    (_, _, _, whole), (_, _, partial, some), _ = watch.passes[3:]
    upper = partial.keep_mask.repeat_interleave(2, 1).repeat_interleave(2, 2)[None, :, None]
    assert_near(torch.where(upper, whole, 0), some, 1e-5)


def test_the_first_block_of_a_scene_is_computed_in_every_step():
    watch = Watch()
    edit(ALL, "reuse=halves", host=load_plugins(watch), video=source(3))
    assert [layout.kept_count for _, _, layout, _ in watch.passes] == [48, 48, 48]


def test_importance_is_the_guidance_of_the_step_before():
    seen = []

    @attrs.frozen
    class Notes(Merging):
        """Remembers predictions."""

        def match(self, tokens):
            return None

        def observe(self, prediction):
            seen.append(prediction)

    class Plugin:
        @hookimpl
        def lipar_register_mergings(self, registry):
            registry.add("notes", Notes)

    for scale in (1.0, 3.0):
        edit(
            ALL,
            "merging=notes",
            host=load_plugins(Plugin()),
            model=toy(guidance_scale=scale),
            video=source(3),
        )
    alone, guided = seen[:2], seen[2:]
    assert all(prediction.guidance is None for prediction in alone)
    assert [prediction.forward_pass.step for prediction in guided] == [0, 1]
    assert all(prediction.guidance.shape == prediction.flow.shape for prediction in guided)
    assert bool(guided[0].guidance.any()) and bool(alone[0].change.any())


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("saving", ["merging=tome", "reuse=step-skip"])
def test_every_engine_gives_the_same(saving, engine):
    settings = [ALL, saving, f"{saving.partition('=')[0]}.fraction=0.25"]
    assert_near(edit(*settings, f"run.engine={engine}"), edit(*settings), 1e-5)


@pytest.mark.parametrize(
    ("saving", "reason", "replayed"),
    [
        ("merging=tome", "the merging matches tokens anew in every pass", 0),
        ("reuse=step-skip", "with reuse, a step", 1),
    ],
)
def test_graphs_run_passes_that_cannot_be_recorded_eagerly_and_say_why(saving, reason, replayed):
    settings = [
        "prune.scene_cuts=false",
        "noise=kv-cache",
        ALL,
        saving,
        f"{saving.partition('=')[0]}.fraction=0.25",
    ]
    made = Scheduler(toy(), build_config(settings=settings), host=HOST)
    engine = use_replay(made)
    video = source(18)
    ours = torch.cat([block.latents for block in made.run([video])], dim=1)
    assert_near(ours, edit(*settings, video=video), 1e-5)
    assert reason in engine.summary()
    assert (engine.replay.counts["replayed"] > 0) == bool(replayed)


def test_merging_and_reuse_together_are_refused():
    with pytest.raises(ConfigError, match="merging 'tome' and reuse 'step-skip' cannot be on together"):
        edit("merging=tome", "reuse=step-skip")


def test_a_noise_source_that_stores_every_step_is_refused_with_reuse():
    with pytest.raises(ConfigError, match=r"noise 'step-matched' stores .* choose noise 'step-shift'"):
        edit("noise=step-matched", "reuse=mask-cache")


def test_a_fraction_that_the_steps_do_not_have_is_refused_before_the_first_frame():
    with pytest.raises(
        ConfigError, match=r"reuse 'mask-cache': fraction must be at most 0\.5 with 2 denoise steps"
    ):
        edit("reuse=mask-cache", "reuse.fraction=0.6")


def test_an_option_without_a_part_says_which_parts_there_are():
    with pytest.raises(
        ConfigError,
        match="merging is 'none', which has no option 'fraction'; choose a part: idm, importance, tome",
    ):
        edit("merging.fraction=0.3")


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ConfigError, match=r"no merging named 'tomee'; registered: .* did you mean 'tome'"):
        edit("merging=tomee")
