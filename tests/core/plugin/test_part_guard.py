"""Plugins that fail in every way that a part or a hook can: each is named, with what to return, and lipar goes on.

Each hostile plugin is one line: a kind of part, a class made of what differs from a sound one, and words of the
message.
"""

# one line a plugin reads best
# ruff: noqa: E501

import copy
import pickle
import sys
import types

import attrs
import numpy as np
import pytest
import torch
from command_runs import run_command
from torch.utils._python_dispatch import TorchDispatchMode
from wan_toys import toy_transformer

import lipar
from lipar import Scheduler, TokenLayout, build_config, load_plugins
from lipar.config import ConfigError
from lipar.hookspecs import hookimpl
from lipar.masks.measure import Measure
from lipar.plugin.checks import AnswerError
from lipar.plugin.parts import make_adapter, make_parts
from lipar.plugin.registry import KINDS
from lipar.protocols import Match, Merging, RecoveryPlan, Reuse
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_plugins.criteria import L1
from lipar_plugins.donors import DonorRule
from lipar_plugins.noise_levels import Filtering
from lipar_plugins.recoveries import MDegree
from lipar_plugins.refiners import Dilate, Median, Threshold
from lipar_plugins.restorers import Copy

NAN, INF = float("nan"), float("inf")


class OwnExit(BaseException):
    """Neither an exception nor Ctrl-C."""


class OwnInterrupt(KeyboardInterrupt):
    """Looks like Ctrl-C, but nobody pressed it."""


def raising(error):
    def function(*_, **__):
        raise error

    return function


def giving(answer):
    return lambda *_, **__: answer


def part(base, **members):
    """A part like `base` but for some members; its class takes no options."""
    made = type("Hostile", (base,), {"__doc__": "Hostile.", **members})
    return attrs.define(made, eq=False)


def hostile(kind, made):
    """A plugin that offers one part, as `hostile`."""
    plugin = types.ModuleType("mischief")
    setattr(plugin, f"lipar_register_{KINDS[kind]}", hookimpl(lambda registry: registry.add("hostile", made)))
    return plugin


def toy():
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    return model


def source(frames=9):
    """Every block after the first has kept and pruned tokens."""
    generator = torch.Generator().manual_seed(0)
    still = torch.randn(1, 1, 4, 8, 8, generator=generator).repeat(1, frames, 1, 1, 1)
    still[..., :4, :4] += torch.randn(1, frames, 4, 4, 4, generator=generator)
    return still


def run(*plugins, settings=(), video=None):
    config = build_config(settings=["prune.scene_cuts=false", *settings])
    scheduler = Scheduler(toy(), config, host=load_plugins(*plugins))
    return list(scheduler.run([source() if video is None else video]))


def chosen(kind):
    if kind == "refiner":
        return ["refiners=['hostile','threshold']"]
    return [
        f"{kind}='hostile'",
        *(["prune.tau_short=0.1", "prune.tau_long=0.2"] if kind == "criterion" else []),
    ]


def said(error):
    """All that the command line prints of an error."""
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


def criterion(call):
    return part(L1, __call__=lambda self, current, reference: call(L1.__call__(self, current, reference)))


def changed(**values):
    """A refiner whose change has other values."""

    def call(self, change):
        return attrs.evolve(change, **{name: make(change.distance) for name, make in values.items()})

    return part(Threshold, __call__=call)


def planning(**values):
    def plan(self, layout):
        return RecoveryPlan(**{name: make(layout) for name, make in values.items()})

    return part(MDegree, plan=plan)


def donating(change):
    def donors(self, donation):
        return change(*DonorRule.donors(self, donation))

    return part(DonorRule, donors=donors)


def restoring(change):
    return part(Copy, __call__=lambda self, layout, history, kept: change(layout.fill(history, kept)))


def merging(change):
    """A merging of all tokens into one, changed."""

    def match(self, tokens):
        return change(torch.zeros(tokens.q.shape[:2], dtype=torch.long))

    return part(Merging, match=match)


def reuse(change):
    return part(Reuse, computed=lambda self, distance, keep_mask, steps: change(keep_mask, steps))


def first_only(keep):
    """The first kept token."""
    place = keep.flatten().nonzero()[0]
    return torch.zeros_like(keep.flatten()).index_fill(0, place, True).view(keep.shape)


def spoil(values, value):
    """One value in the middle is another."""
    spoilt = values.clone()
    spoilt.view(-1)[spoilt.numel() // 2] = value
    return spoilt


def bias(layout, value):
    made = torch.zeros(layout.grid)
    made[-1, -1, -1] = value
    return made


PARTS = {
    # --- criteria
    "a criterion that gives NaN": ("criterion", criterion(lambda d: spoil(d, NAN)), "gave 1 NaN among", "finite distances of at least 0"),
    "a criterion that gives infinity": ("criterion", criterion(lambda d: spoil(d, INF)), "1 infinite among", "finite distances"),
    "a criterion that gives NaN alone": ("criterion", criterion(lambda d: d * NAN), "NaN among", "finite distances"),
    "a criterion with a negative distance": ("criterion", criterion(lambda d: spoil(d, -0.1)), "1 negative among", "clamp(min=0)"),
    "a criterion with all distances below 0": ("criterion", criterion(lambda d: -1 - d), "negative among", "at least 0"),
    "a criterion of another shape": ("criterion", criterion(lambda d: d[..., :1]), "float32[2, 4, 1]", "return a dense floating-point tensor [2, 4, 4] on cpu"),
    "a criterion with one number for all": ("criterion", criterion(lambda d: d.mean()), "float32[]", "one distance per token"),
    "a criterion of whole numbers": ("criterion", criterion(lambda d: d.long()), "int64[2, 4, 4]", "floating-point"),
    "a criterion of booleans": ("criterion", criterion(lambda d: d > 0.1), "bool[2, 4, 4]", "floating-point"),
    "a criterion of complex numbers": ("criterion", criterion(lambda d: d + 0j), "complex64", "floating-point"),
    "a criterion on another device": ("criterion", criterion(lambda d: d.to("meta")), "on meta", "on cpu"),
    "a sparse criterion": ("criterion", criterion(lambda d: d.to_sparse()), "float32", "dense"),
    "a criterion that gives None": ("criterion", criterion(lambda d: None), "gave None", "return a dense floating-point tensor"),
    "a criterion that gives a tuple": ("criterion", criterion(lambda d: (d, d)), "a tuple of 2", "return a dense"),
    "a criterion that gives a numpy array": ("criterion", criterion(lambda d: d.numpy()), "a numpy.ndarray", "return a dense"),
    "a criterion that raises": ("criterion", criterion(raising(KeyError("gain"))), "gain", "raised in"),
    "a criterion that exits with code 0": ("criterion", criterion(lambda d: sys.exit(0)), "tried to end the program (SystemExit: 0)", "must raise an Exception instead"),
    "a criterion that looks like Ctrl-C": ("criterion", criterion(raising(OwnInterrupt())), "OwnInterrupt", "must raise an Exception instead"),
    "a criterion whose thresholds are text": ("criterion", part(L1, taus="ab"), "taus = 'ab'", "two finite numbers"),
    "a criterion whose ratio is NaN": ("criterion", part(L1, l1_ratio=NAN), "l1_ratio = nan", "a finite number above 0"),
    "a criterion whose reader is None": ("criterion", part(L1, reader=lambda self, source: None), "gave None as reader", "a function of a SourceBlock"),
    "a criterion that reads None": ("criterion", part(L1, reader=lambda self, source: giving(None)), "gave None as features", "frames, rows, columns and features"),
    "a criterion that reads another grid": ("criterion", part(L1, reader=lambda self, source: giving(torch.zeros(3, 2, 2, 1))), "float32[3, 2, 2, 1]", "[3, 4, 4, 1]"),
    "a criterion that reads NaN": ("criterion", part(L1, reader=lambda self, source: giving(torch.full((3, 4, 4, 1), NAN))), "48 NaN among 48 features", "finite features"),
    "a criterion whose measure is a number": ("criterion", part(L1, measure=lambda self, source: 1.0), "gave 1.0 as measure", "lipar.masks.measure.Measure"),
    "a criterion whose measure gives NaN": ("criterion", part(L1, measure=lambda self, source: Measure(read=lambda block: torch.zeros(3, 4, 4, 1), short=lambda a, b: a[..., 0] * NAN, long=L1(), tau_short=1.0, tau_long=1.0)), "NaN among", "finite distances"),
    # --- refiners
    "a refiner that gives None": ("refiner", part(Threshold, __call__=giving(None)), "gave None as change", "attrs.evolve(change, keep=...)"),
    "a refiner that gives a mask alone": ("refiner", part(Threshold, __call__=lambda self, change: change.distance > 1), "bool[", "the Change that came"),
    "a refiner whose mask is of floats": ("refiner", changed(keep=lambda d: d), "Change.keep must be Bool[Tensor", "raised in"),
    "a refiner whose mask is of another shape": ("refiner", changed(keep=lambda d: d[:, :1] > 0), "bool[1, 1, 3] on cpu as keep", "return a dense bool tensor"),
    "a refiner with a frame less": ("refiner", part(Median, __call__=lambda self, change: change.inner(1, 0)), "as distance", "return a dense floating-point tensor"),
    "a refiner that forgets its halo": ("refiner", part(Median, past_frames=2, __call__=lambda self, change: change), "as distance", "return a dense floating-point tensor"),
    "a refiner that makes NaN of distances": ("refiner", changed(distance=lambda d: d * NAN), "NaN of finite distances", "return finite distances"),
    "a refiner that raises": ("refiner", part(Threshold, __call__=raising(ZeroDivisionError("by 0"))), "by 0", "raised in"),
    "a refiner that exits": ("refiner", part(Threshold, __call__=raising(SystemExit("bye"))), "SystemExit: bye", "must raise an Exception instead"),
    "a refiner whose halo is no whole number": ("refiner", part(Threshold, past_frames=1.5), "past_frames = 1.5", "must be int"),
    "a refiner whose halo is negative": ("refiner", part(Threshold, future_frames=-1), "future_frames = -1", "in 0..1000"),
    "a refiner that sees a billion frames ahead": ("refiner", part(Threshold, future_frames=10**9), "future_frames = 1000000000", "in 0..1000"),
    "a refiner that may be of blocks": ("refiner", part(Threshold, of_blocks="yes"), "of_blocks = 'yes'", "must be bool"),
    "a refiner that spoils a threshold": ("refiner", changed(tau_long=lambda d: NAN), "gave nan as tau_long", "the threshold that came"),
    "a refiner with an unknown border": ("refiner", part(Threshold, border="wrap"), "border = 'wrap'", "'replicate' or 'zero'"),
    # --- recoveries
    "a recovery that gives None": ("recovery", part(MDegree, plan=giving(None)), "gave None as plan", "lipar.protocols.RecoveryPlan"),
    "a recovery that gives a mask alone": ("recovery", part(MDegree, plan=lambda self, layout: layout.keep_mask), "a tensor bool", "RecoveryPlan"),
    "a recovery of another grid": ("recovery", planning(present=lambda layout: torch.ones(1, 2, 2, dtype=torch.bool)), "bool[1, 2, 2] on cpu as present", "return a dense bool tensor [3, 4, 4]"),
    "a recovery whose mask is of floats": ("recovery", planning(present=lambda layout: layout.keep_mask.float()), "RecoveryPlan.present must be Bool[Tensor", "raised in"),
    "a recovery whose bias is of another grid": ("recovery", planning(bias=lambda layout: torch.zeros(3, 4, 5)), "float32[3, 4, 5] on cpu as bias", "tensor [3, 4, 4]"),
    "a recovery whose bias is NaN": ("recovery", planning(bias=lambda layout: bias(layout, NAN)), "gave 1 NaN among 48 values of bias", "return finite values"),
    "a recovery whose bias is infinite": ("recovery", planning(bias=lambda layout: bias(layout, INF)), "gave 1 infinite among 48 values of bias", "return finite values"),
    "a recovery that fills by a number": ("recovery", part(MDegree, fills=1), "fills = 1", "must be bool"),
    "a recovery that leaves nothing to attend to": ("recovery", planning(present=lambda layout: torch.zeros_like(layout.keep_mask)), "without any place that is present", "leave the kept tokens present"),
    "a recovery that raises": ("recovery", part(MDegree, plan=raising(IndexError("row 7"))), "row 7", "raised in"),
    "a recovery that exits": ("recovery", part(MDegree, plan=raising(OwnExit("stop"))), "OwnExit: stop", "must raise an Exception instead"),
    # --- noise sources
    "a noise source of NaN": ("noise", donating(lambda k, v: (k * NAN, v)), "NaN among", "return finite donors"),
    "a noise source with one NaN among its values": ("noise", donating(lambda k, v: (k, spoil(v, NAN))), "gave 1 NaN among", "return finite donors"),
    "a noise source with one infinite key": ("noise", donating(lambda k, v: (spoil(k, INF), v)), "gave 1 infinite among", "return finite donors"),
    "a noise source with a donor less": ("noise", donating(lambda k, v: (k[:, 1:], v[:, 1:])), "as donors' keys", "return a dense float32 tensor [1, "),
    "a noise source with fewer values than keys": ("noise", donating(lambda k, v: (k, v[:, :1])), "as donors' values", "return a dense float32 tensor"),
    "a noise source for one head": ("noise", donating(lambda k, v: (k[:, :, :1], v)), "as donors' keys", "return a dense float32 tensor"),
    "a noise source of another type": ("noise", donating(lambda k, v: (k.double(), v.double())), "float64", "float32"),
    "a noise source with keys alone": ("noise", donating(lambda k, v: k), "as donors", "a pair, keys and values"),
    "a noise source that gives None": ("noise", donating(lambda k, v: None), "gave None as donors", "a pair, keys and values"),
    "a noise source that gives numpy arrays": ("noise", donating(lambda k, v: (k.numpy(), v.numpy())), "numpy.ndarray", "return a dense float32 tensor"),
    "a noise source that raises": ("noise", donating(raising(RuntimeError("lost"))), "lost", "raised in"),
    "a noise source that exits": ("noise", donating(lambda k, v: sys.exit()), "tried to end the program (SystemExit: )", "must raise an Exception instead"),
    "a noise source that is ready by None": ("noise", part(DonorRule, ready=giving(None)), "gave None as answer to ready(layout)", "True or False"),
    "a noise source that raises as it observes": ("noise", part(DonorRule, observe=raising(ValueError("seen"))), "seen", "raised in"),
    "a noise source that raises as it is reset": ("noise", part(DonorRule, reset=raising(ValueError("again"))), "again", "raised in"),
    "a noise source that does not say how often": ("noise", part(DonorRule, per_step=None), "per_step = None", "must be bool"),
    # --- restorers
    "a restorer of NaN": ("restorer", restoring(lambda x: x * NAN), "NaN among", "return finite tokens"),
    "a restorer with one infinite value": ("restorer", restoring(lambda x: spoil(x, -INF)), "gave 1 infinite among", "return finite tokens"),
    "a restorer with a place less": ("restorer", restoring(lambda x: x[:, 1:]), "float32[1, 47, 16]", "return a dense float32 tensor [1, 48, 16]"),
    "a restorer of one place for all": ("restorer", restoring(lambda x: x[:, :1]), "float32[1, 1, 16]", "[1, 48, 16]"),
    "a restorer of another type": ("restorer", restoring(lambda x: x.half()), "float16", "float32"),
    "a restorer that gives None": ("restorer", restoring(lambda x: None), "gave None as restored tokens", "return a dense"),
    "a restorer that gives a list": ("restorer", restoring(lambda x: [x]), "a list of 1", "return a dense"),
    "a restorer that raises": ("restorer", restoring(raising(AttributeError("nothing"))), "nothing", "raised in"),
    "a restorer that exits": ("restorer", restoring(raising(SystemExit(0))), "SystemExit: 0", "must raise an Exception instead"),
    # --- mergings
    "a merging that gives a list": ("merging", merging(lambda group: [group]), "gave a list of 1 as match", "return a lipar.protocols.Match, or None"),
    "a merging of no group": ("merging", merging(lambda group: Match(group, group[:, :0])), "gave 'no group' as match", "at least one group"),
    "a merging of a token less": ("merging", merging(lambda group: Match(group[:, 1:], group[:, :1])), "int64[1, 47]", "return a dense int64 tensor [1, 48]"),
    "a merging of small integers": ("merging", merging(lambda group: Match(group.int(), group[:, :1])), "int32[1, 48]", "int64"),
    "a merging whose group is not there": ("merging", merging(lambda group: Match(group + 5, group[:, :1])), "groups that do not fit each other", "numbers 0 to 0"),
    "a merging at a token that is not there": ("merging", merging(lambda group: Match(group, group[:, :1] - 1)), "groups that do not fit each other", "one member of each"),
    "a merging with an empty group": ("merging", merging(lambda group: Match(group, group[:, :2])), "groups that do not fit each other", "numbers 0 to 1"),
    "a merging that may weigh": ("merging", part(Merging, match=giving(None), proportional="yes"), "proportional = 'yes'", "must be bool"),
    "a merging that raises": ("merging", merging(raising(KeyError("lost"))), "lost", "raised in"),
    "a merging that exits at the reset": ("merging", part(Merging, match=giving(None), reset=raising(SystemExit(0))), "SystemExit: 0", "must raise an Exception instead"),
    "a merging that observes badly": ("merging", part(Merging, match=giving(None), observe=raising(OSError("full"))), "full", "raised in"),
    # --- reuses
    "a reuse of a step less": ("reuse", reuse(lambda keep, steps: [keep]), "gave a list of 1 as computed", "a list of 2 masks"),
    "a reuse of nothing": ("reuse", reuse(lambda keep, steps: None), "gave None as computed", "one for each denoise step"),
    "a reuse of numbers": ("reuse", reuse(lambda keep, steps: [keep, keep.float()]), "float32[3, 4, 4] on cpu as the mask of a step", "return a dense bool tensor [3, 4, 4]"),
    "a reuse of another grid": ("reuse", reuse(lambda keep, steps: [keep, keep[:1]]), "bool[1, 4, 4]", "[3, 4, 4]"),
    "a reuse that begins with some": ("reuse", reuse(lambda keep, steps: [first_only(keep), keep]), "masks that do not fit", "the first has every kept token"),
    "a reuse of pruned tokens": ("reuse", reuse(lambda keep, steps: [keep, torch.ones_like(keep)]), "masks that do not fit", "no pruned one"),
    "a reuse of no token": ("reuse", reuse(lambda keep, steps: [keep, torch.zeros_like(keep)]), "masks that do not fit", "at least one of them"),
    "a reuse that refuses": ("reuse", part(Reuse, computed=giving(None), check_steps=raising(ValueError("odd"))), "odd", "raised in"),
    "a reuse that exits": ("reuse", reuse(raising(SystemExit(0))), "SystemExit: 0", "must raise an Exception instead"),
}  # fmt: skip


def test_at_least_54_hostile_plugins_are_tried():
    assert len(PARTS) + len(HOOKS) + len(CONSTRUCTORS) >= 54


@pytest.mark.parametrize(("kind", "made", "came", "wanted"), PARTS.values(), ids=PARTS)
def test_the_run_stops_with_plugin_part_and_what_to_return_for(kind, made, came, wanted):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what is raised is the plugin's choice
        run(hostile(kind, made), settings=chosen(kind))
    text = said(caught.value)
    assert f"{kind} 'hostile' (plugin mischief of mischief)" in text
    assert came in text
    assert wanted in text
    assert len(run()) == 3


def construct(error):
    return part(L1, __attrs_post_init__=raising(error))


CONSTRUCTORS = {
    "a value that it does not like": (ValueError("no such gain"), ConfigError, "no such gain"),
    "an error of its own": (RuntimeError("no licence"), RuntimeError, "no licence"),
    "an exit with code 0": (SystemExit(0), RuntimeError, "tried to end the program (SystemExit: 0)"),
    "an exit of its own": (OwnExit(), RuntimeError, "tried to end the program (OwnExit: )"),
}


@pytest.mark.parametrize(("error", "kind", "text"), CONSTRUCTORS.values(), ids=CONSTRUCTORS)
def test_a_part_that_cannot_be_made_is_named_for(error, kind, text):
    with pytest.raises(kind) as caught:
        run(hostile("criterion", construct(error)), settings=chosen("criterion"))
    assert text in said(caught.value)
    assert "criterion 'hostile' (plugin mischief of mischief)" in said(caught.value)


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (giving(None), "gave None as model; return the loaded model"),
        (raising(SystemExit(0)), "tried to end the program (SystemExit: 0)"),
        (raising(OSError("no weights")), "no weights"),
    ],
    ids=["nothing", "exit", "error"],
)
def test_an_adapter_that_does_not_load_is_named(load, text):
    Hostile = type("Hostile", (), {"__doc__": "Hostile.", "load": load})
    adapter = make_adapter(
        load_plugins(hostile("adapter", attrs.frozen(Hostile))), build_config(settings=["adapter='hostile'"])
    )
    with pytest.raises((RuntimeError, OSError, AnswerError)) as caught:
        adapter.load(torch.device("cpu"), torch.float32)
    assert text in said(caught.value)
    assert "adapter 'hostile' (plugin mischief of mischief)" in said(caught.value)


# --- hooks ----------------------------------------------------------------------------------------------------


def layout_with(grid=(3, 4, 4), **changed):
    def prune(job, first_frame):
        wanted = {"first_frame": first_frame, "has_history": job.history is not None, **changed}
        return TokenLayout(torch.ones(grid, dtype=torch.bool), **wanted)

    return prune


HOOKS = {
    "lipar_prune that gives a mask": ("lipar_prune", lambda source: torch.ones(3, 4, 4, dtype=torch.bool), "bool[3, 4, 4]", "lipar.TokenLayout"),
    "lipar_prune that gives a numpy mask": ("lipar_prune", lambda source: np.ones((3, 4, 4), bool), "a numpy.ndarray", "lipar.TokenLayout"),
    "lipar_prune with another grid": ("lipar_prune", layout_with((3, 4, 5)), "(3, 4, 5) for a block of (3, 4, 4)", "the block's grid"),
    "lipar_prune with a frame less": ("lipar_prune", layout_with((2, 4, 4)), "(2, 4, 4)", "the block's grid"),
    "lipar_prune of another frame": ("lipar_prune", layout_with(first_frame=99), "first_frame=99 for a block with first_frame=0", "first_frame=first_frame"),
    "lipar_prune with a history that is not there": ("lipar_prune", layout_with(has_history=True), "has_history=True for a block with has_history=False", "job.history is not None"),
    "lipar_prune that exits": ("lipar_prune", lambda job: sys.exit(0), "SystemExit: 0", "must raise an Exception"),
    "lipar_forward of one frame": ("lipar_forward", lambda latents: latents[:, :1], "float32[1, 1, 4, 8, 8] on cpu as flow", "[1, 3, 4, 8, 8]"),
    "lipar_forward of one channel": ("lipar_forward", lambda latents: latents[:, :, :1], "as flow", "[1, 3, 4, 8, 8]"),
    "lipar_forward with a number": ("lipar_forward", lambda latents: 0.5, "gave 0.5 as flow", "[1, 3, 4, 8, 8]"),
    "lipar_forward of another type": ("lipar_forward", lambda latents: latents.double(), "float64", "float32"),
    "lipar_forward of NaN": ("lipar_forward", lambda latents: latents * NAN, "768 NaN among 768 values of the flow of kept tokens, in latent frames 0..2", "return finite values"),
    "lipar_forward that exits": ("lipar_forward", lambda job: sys.exit(0), "SystemExit: 0", "must raise an Exception"),
    "lipar_restore of one frame": ("lipar_restore", lambda denoised: denoised[:, :1], "as restored latents", "[1, 3, 4, 8, 8]"),
    "lipar_restore with a tuple": ("lipar_restore", lambda denoised: (denoised,), "a tuple of 1", "[1, 3, 4, 8, 8]"),
    "lipar_restore of one NaN": ("lipar_restore", lambda denoised: spoil(denoised, NAN), "1 NaN among 768 values of restored latents, in latent frames 0..2", "return finite values"),
    "lipar_restore that exits": ("lipar_restore", lambda job: sys.exit(0), "SystemExit: 0", "must raise an Exception"),
}  # fmt: skip


def hooking(name, function):
    plugin = types.ModuleType("mischief")
    setattr(plugin, name, hookimpl(function))
    return plugin


@pytest.mark.parametrize(("name", "function", "came", "wanted"), HOOKS.values(), ids=HOOKS)
def test_the_run_stops_with_plugin_hook_and_what_to_return_for(name, function, came, wanted):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what is raised is the plugin's choice
        run(hooking(name, function))
    text = said(caught.value)
    assert f"{name} of plugin mischief of mischief" in text
    assert came in text
    assert wanted in text
    assert len(run()) == 3


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("lipar_prune", lambda answer: answer.keep_mask, "return a lipar.TokenLayout"),
        ("lipar_prune", lambda answer: attrs.evolve(answer, first_frame=7), "first_frame=7"),
        ("lipar_forward", lambda answer: answer[:, :1], "as flow"),
        ("lipar_forward", lambda answer: answer / 0 * 0, "NaN among 768 values of the flow"),
        ("lipar_restore", lambda answer: answer[..., :1], "as restored latents"),
        ("lipar_restore", lambda answer: answer * NAN, "NaN among 768 values of restored latents"),
    ],
)
def test_a_wrapper_that_changes_an_answer_is_held_to_the_same(name, change, text):
    def wrap(self):
        return change((yield))

    with pytest.raises(AnswerError) as caught:
        run(type("Changes", (), {name: hookimpl(wrapper=True)(wrap)})())
    assert text in str(caught.value)
    assert f"{name} of plugin Changes of Changes" in str(caught.value)


# --- who is to blame --------------------------------------------------------------------------------------------


def test_donors_that_are_spoilt_in_one_layer_of_one_step_alone_are_blamed():
    @attrs.define
    class Late(DonorRule):
        """Hostile."""

        per_step = True

        def donors(self, donation):
            k, v = super().donors(donation)
            return k, v * (NAN if (donation.layer_idx, donation.forward_pass.step) == (1, 1) else 1)

    with pytest.raises(AnswerError, match=r"noise 'hostile' \(plugin mischief .* \(layer 1, step 1\)"):
        run(hostile("noise", Late), settings=chosen("noise"))


def test_donors_that_are_spoilt_once_are_named_beside_the_model():
    @attrs.define
    class Once(DonorRule):
        """Hostile."""

        calls: int = 0

        def donors(self, donation):
            k, v = super().donors(donation)
            self.calls += 1
            return k, v * (NAN if self.calls == 1 else 1)

    with pytest.raises(ArithmeticError, match="the model gave NaN") as caught:
        run(hostile("noise", Once), settings=chosen("noise"))
    assert "plugins took part" in said(caught.value)
    assert "noise 'hostile' (plugin mischief of mischief)" in said(caught.value)


@pytest.mark.parametrize(
    "settings", [["noise='step-shift'"], ["noise='step-matched'"], ["noise='filtering'"]]
)
def test_what_the_weights_spoil_is_blamed_on_no_part(monkeypatch, settings):
    """Though noise sources have seen spoilt keys by then, and restorers spoilt tokens."""
    stock, calls = ToyModel.forward, []

    def broken(self, latents, forward_pass, attention):
        calls.append(forward_pass)
        flow = stock(self, latents, forward_pass, attention)
        return flow * NAN if len(calls) == 4 else flow

    monkeypatch.setattr(ToyModel, "forward", broken)
    with pytest.raises(ArithmeticError, match=r"the model gave NaN or infinity in latent frames 3\.\.5"):
        run(settings=settings)


def test_a_wrapper_is_not_blamed_for_what_the_model_spoils(monkeypatch):
    class Doubles:
        @hookimpl(wrapper=True)
        def lipar_forward(self):
            return (yield) * 2

    stock = ToyModel.forward
    monkeypatch.setattr(ToyModel, "forward", lambda self, *given: stock(self, *given) * NAN)
    with pytest.raises(ArithmeticError, match="the model gave NaN") as caught:
        run(Doubles())
    assert "lipar_forward of plugin Doubles of Doubles" in said(caught.value)


def test_donors_of_the_future_are_refused():
    made = part(DonorRule, donor_times=lambda self, layout, places: places * 0 + layout.frames)
    with pytest.raises(
        AnswerError, match=r"noise 'hostile' \(plugin mischief of mischief\) gave donor times up to 3"
    ):
        run(hostile("noise", made), settings=["recovery='naive-copy'", *chosen("noise")])


def test_a_criterion_inside_another_is_the_one_that_is_named():
    settings = ["criterion={name='union', of=['l1', {name='hostile', tau_short=0.1, tau_long=0.2}]}"]
    with pytest.raises(AnswerError, match=r"^criterion 'hostile' \(plugin mischief of mischief\) gave 1 NaN"):
        run(hostile("criterion", criterion(lambda d: spoil(d, NAN))), settings=settings)


def test_values_that_nobody_reads_may_be_anything():
    """A bias where nothing is present, and a flow at pruned places."""

    def plan(self, layout):
        made = torch.full(layout.grid, NAN)
        made[layout.keep_mask] = 0.0
        return RecoveryPlan(present=layout.keep_mask, bias=made)

    class Poison:
        @hookimpl(wrapper=True)
        def lipar_forward(self, layout):
            flow = yield
            pruned = ~layout.keep_mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
            return flow.masked_fill(pruned[None, :, None], NAN)

    made = run(hostile("recovery", part(MDegree, plan=plan)), Poison(), settings=chosen("recovery"))
    assert all(bool(block.latents.isfinite().all()) for block in made)


# --- what a guard leaves as it is ---------------------------------------------------------------------------------


def test_a_guarded_part_is_of_its_own_class_and_keeps_what_it_offers():
    parts = make_parts(load_plugins(), build_config(settings=["noise='step-shift'", "noise.momentum=0.5"]))
    assert parts.noise.__class__.__name__ == "StepShift"
    assert parts.noise.momentum == 0.5
    assert parts.noise.needs == {"causal-cache"}
    assert not hasattr(parts.noise, "fills")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda parts: pickle.loads(pickle.dumps(parts))])
def test_guarded_parts_can_be_copied_and_share_the_checks_of_the_copy(copied):
    parts = make_parts(load_plugins(), build_config())
    made = copied(parts)
    assert made.recovery.part == parts.recovery.part
    assert made.recovery.checks is made.noise.checks is made.checks is not parts.checks


def test_a_sound_plugin_gives_what_lipar_gives_bit_for_bit():
    ours = run(settings=["criterion='l1'"])
    theirs = run(hostile("criterion", part(L1)), settings=["criterion='hostile'"])
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(ours, theirs, strict=True))


class Waits(TorchDispatchMode):
    """Counts what a host would wait for on a GPU: values that are read, and tensors whose size depends on values.

    Numbers that the host itself made into tensors, and what was computed of these alone, lie with the host.
    """

    def __init__(self, monkeypatch):
        super().__init__()
        self.count, self.of_host = 0, {}
        stock = torch.Tensor.tolist  # on a CPU no operator is called for it

        def counted(tensor):
            self.count += 1
            return stock(tensor)

        monkeypatch.setattr(torch.Tensor, "tolist", counted)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        aten = torch.ops.aten
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        host = function is aten.lift_fresh.default or (
            tensors and all(id(x) in self.of_host for x in tensors)
        )
        if function in (aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default):
            self.count += not host
        made = function(*args, **(kwargs or {}))
        if host and isinstance(made, torch.Tensor):
            self.of_host[id(made)] = made  # held, so that no other tensor takes its id
        return made


@pytest.mark.parametrize("noise", ["kv-cache", "step-matched", "step-shift", "filtering"])
def test_the_host_waits_twice_a_block_and_never_inside_a_pass(monkeypatch, noise):
    """For the number of kept tokens, and for all that is checked together."""
    waits, inside = Waits(monkeypatch), []

    class InPass:
        @hookimpl(wrapper=True)
        def lipar_forward(self):
            before = waits.count
            flow = yield
            inside.append(waits.count - before)
            return flow

    config = build_config(settings=["prune.scene_cuts=false", f"noise='{noise}'"])
    blocks = Scheduler(toy(), config, host=load_plugins(InPass())).run([source(12)])
    next(blocks)  # where a scene begins its first frame is looked at, too
    waits.count = 0
    with waits:
        kept = [block.layout.kept_fraction for block in blocks]
    assert all(0 < fraction < 1 for fraction in kept)
    assert waits.count == 2 * len(kept) == 6
    assert set(inside) == {0}


def test_refiners_that_are_used_at_the_end_keep_the_mask():
    hides = part(Dilate, of_blocks=True, __call__=lambda self, change: attrs.evolve(change, keep=None))
    with pytest.raises(
        ConfigError, match=r"refiner 'hostile' \(plugin mischief of mischief\) gave None as keep"
    ):
        run(hostile("refiner", hides), settings=["refiners=['threshold','hostile']"])


# --- under a stock model --------------------------------------------------------------------------------------------


def filtering(change):
    return part(Filtering, donors=lambda self, donation: change(*Filtering.donors(self, donation)))


ENABLED = {
    "a criterion that gives NaN": ("criterion", criterion(lambda d: spoil(d, NAN)), "gave 1 NaN among"),
    "a criterion of another shape": ("criterion", criterion(lambda d: d[:, :1]), "one distance per token"),
    "a criterion that exits": ("criterion", criterion(raising(SystemExit(0))), "SystemExit: 0"),
    "a refiner that gives None": ("refiner", part(Threshold, __call__=giving(None)), "gave None as change"),
    "a recovery of another grid": (
        "recovery",
        planning(present=lambda layout: layout.keep_mask[:1]),
        "as present",
    ),
    "a recovery whose bias is NaN": (
        "recovery",
        planning(bias=lambda layout: torch.full(layout.grid, NAN)),
        "values of bias",
    ),
    "a noise source of NaN": ("noise", filtering(lambda k, v: (k, v * NAN)), "return finite donors"),
    "a noise source with a donor less": ("noise", filtering(lambda k, v: (k[:, 1:], v)), "as donors' keys"),
    "a noise source that exits": ("noise", filtering(raising(SystemExit(0))), "SystemExit: 0"),
    "a restorer of NaN": ("restorer", restoring(lambda x: x * NAN), "return finite tokens"),
    "a restorer of one place for all": ("restorer", restoring(lambda x: x[:, :1]), "as restored tokens"),
    "a restorer that raises": ("restorer", restoring(raising(KeyError("lost"))), "lost"),
}


def enabled(*settings, host=None):
    """A forward of a small stock transformer, pruned."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(1, 3, 16, 6, 10, generator=generator)
    clean[:, 1:, ..., :8] = clean[:, :1, ..., :8]
    config = build_config(
        settings=["noise='filtering'", "prune.tau_short=0.1", "prune.tau_long=0.2", *settings]
    )
    transformer = toy_transformer()
    lipar.enable(transformer, config, source=clean, host=host)
    given = {
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 7, 64, generator=generator),
    }
    with torch.no_grad():
        return transformer(torch.randn(1, 16, 3, 6, 10, generator=generator), **given, return_dict=False)[0]


@pytest.mark.parametrize(("kind", "made", "text"), ENABLED.values(), ids=ENABLED)
def test_an_enabled_forward_stops_with_plugin_and_part_for(kind, made, text):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what is raised is the plugin's choice
        enabled(*chosen(kind), host=load_plugins(hostile(kind, made)))
    assert f"{kind} 'hostile' (plugin mischief of mischief)" in said(caught.value)
    assert text in said(caught.value)


def test_an_enabled_model_gives_its_own_nan_as_the_stock_one_does(monkeypatch):
    from lipar.enabling.session import Session

    stock = Session.restore
    monkeypatch.setattr(
        Session, "restore", lambda self, layout, kept, noisy: stock(self, layout, kept * NAN, noisy)
    )
    assert bool(enabled().isnan().any())


# --- the command -----------------------------------------------------------------------------------------------------


EXITS = {
    "criterion": criterion(raising(SystemExit(0))),
    "refiner": part(Threshold, __call__=raising(SystemExit(0))),
    "recovery": part(MDegree, plan=raising(SystemExit(0))),
    "noise": donating(raising(SystemExit(0))),
    "restorer": restoring(raising(SystemExit(0))),
}


@attrs.frozen
class ToyAdapter:
    """A toy."""

    def load(self, device, dtype):
        return ToyModel(autoencoder=ToyAutoencoder())


def command(monkeypatch, capsys, folder, *plugins, settings=()):
    """`lipar edit` of a clip of its own making; gives the exit code and what it prints."""
    adapters = types.ModuleType("adapters")
    adapters.lipar_register_adapters = hookimpl(lambda registry: registry.add("toy", ToyAdapter))
    monkeypatch.setattr(
        "lipar.cli.host.load_plugins", lambda **options: load_plugins(adapters, *plugins, **options)
    )
    chosen_settings = [word for setting in settings for word in ("--set", setting)]
    words = [
        "edit",
        "--prompt",
        "x",
        "-o",
        str(folder / "o.mp4"),
        "--model",
        "toy",
        "--resolution",
        "64x48",
        "--quiet",
    ]
    code, _, err = run_command(monkeypatch, capsys, *words, *chosen_settings)
    return code, err


@pytest.mark.parametrize("kind", EXITS)
def test_a_command_in_which_a_part_exits_fails_with_a_message_and_leaves_no_file(
    monkeypatch, capsys, tmp_path, kind
):
    plugin = hostile(kind, EXITS[kind])
    code, text = command(monkeypatch, capsys, tmp_path, plugin, settings=chosen(kind))
    assert code == 1
    assert f"{kind} 'hostile' (plugin mischief of mischief) tried to end the program (SystemExit: 0)" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hook", ["lipar_prune", "lipar_forward", "lipar_restore"])
def test_a_command_in_which_a_hook_exits_fails_with_a_message_and_leaves_no_file(
    monkeypatch, capsys, tmp_path, hook
):
    code, text = command(monkeypatch, capsys, tmp_path, hooking(hook, lambda job: sys.exit(0)))
    assert code == 1
    assert f"{hook} of plugin mischief of mischief tried to end the program (SystemExit: 0)" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hook", ["lipar_edit_begun", "lipar_block_written", "lipar_edit_ended"])
def test_a_plugin_that_exits_as_it_looks_on_is_dropped_and_the_command_goes_on(
    monkeypatch, capsys, tmp_path, hook
):
    code, text = command(monkeypatch, capsys, tmp_path, hooking(hook, lambda: sys.exit(0)))
    assert code == 0
    assert (
        f"SystemExit: 0 (raised in {hook} of plugin mischief of mischief); it is removed, the run goes on"
        in text
    )
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


def test_a_command_in_which_a_model_exits_fails_with_a_message_and_leaves_no_file(
    monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(ToyModel, "forward", raising(SystemExit(0)))
    code, text = command(monkeypatch, capsys, tmp_path)
    assert code == 1
    assert "error: code that lipar called tried to end the program (SystemExit: 0)" in text
    assert list(tmp_path.iterdir()) == []
