"""A plugin that fails while a video is edited: one that decides stops the run, one that looks on is dropped."""

import os
import signal

import pytest
import torch

from lipar import Scheduler, load_plugins
from lipar.config import Config, PruneConfig
from lipar.files.owner import Outputs
from lipar.files.signals import EndedBySignal
from lipar.hookspecs import hookimpl
from lipar.plugin.installed import PluginWarning
from lipar.testing.toy import ToyAutoencoder, ToyModel


def run(*plugins):
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    source = torch.randn(1, 9, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    config = Config(prune=PruneConfig(scene_cuts=False))
    host = load_plugins(*plugins)
    return list(Scheduler(model, config, host=host).run([source])), host


class BeforeYield:
    @hookimpl(wrapper=True)
    def lipar_forward(self):
        raise OSError("no space left")
        yield


class AfterYield:
    @hookimpl(wrapper=True)
    def lipar_forward(self):
        yield
        raise OSError("no space left")


class NoYield:
    @hookimpl(wrapper=True)
    def lipar_restore(self):
        if False:
            yield


class TwoYields:
    @hookimpl(wrapper=True)
    def lipar_prune(self):
        yield
        yield


class ExitBeforeYield:
    @hookimpl(wrapper=True)
    def lipar_forward(self):
        raise SystemExit(0)
        yield


class ExitAfterYield:
    @hookimpl(wrapper=True)
    def lipar_restore(self):
        yield
        raise SystemExit("enough")


WATCHERS = {
    ExitBeforeYield: "SystemExit: 0",
    ExitAfterYield: "SystemExit: enough",
    BeforeYield: "OSError: no space left",
    AfterYield: "OSError: no space left",
    NoYield: "must yield once; it returned before",
    TwoYields: "must yield once; it yielded twice",
}


@pytest.mark.parametrize(
    ("watcher", "reason"), WATCHERS.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_a_watcher_that_fails_is_reported_once_and_dropped_and_the_run_is_as_without_it(watcher, reason):
    with pytest.warns(PluginWarning) as warned:
        blocks, host = run(watcher())
    assert len(warned) == 1
    message = str(warned[0].message)
    assert reason in message and watcher.__name__ in message and "the run goes on" in message
    assert [plugin.error for plugin in host.plugins if plugin.distribution == watcher.__name__] == [
        message.partition(" (raised")[0]
    ]
    plain, _ = run()
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(blocks, plain, strict=True))


def test_a_watcher_that_forgets_to_return_changes_nothing():
    class Forgets:
        @hookimpl(wrapper=True)
        def lipar_restore(self):
            yield

    (blocks, _), (plain, _) = run(Forgets()), run()
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(blocks, plain, strict=True))


@pytest.mark.parametrize("hook", ["lipar_prune", "lipar_forward", "lipar_restore"])
def test_a_plugin_that_decides_stops_the_run_and_is_named(hook):
    class Decides:
        pass

    def fail(self):
        raise ValueError("bad donor")

    setattr(Decides, hook, hookimpl(fail))
    with pytest.raises(ValueError, match="bad donor") as caught:
        run(Decides())
    (note,) = caught.value.__notes__
    assert note.startswith(f"raised in {hook} of plugin Decides of ")


def test_a_plugin_that_decides_stops_the_run_when_its_watching_fails_too():
    class Both(BeforeYield):
        @hookimpl
        def lipar_prune(self):
            return None

    with pytest.raises(OSError, match="no space left") as caught:
        run(Both())
    assert "lipar_forward of plugin Both of" in caught.value.__notes__[0]


class Changes:
    """Adds one to what is restored, and fails in the second block or in the first."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at

    @hookimpl(wrapper=True)
    def lipar_restore(self, layout):
        latents = yield
        if layout.first_frame == self.fails_at:
            raise OSError("no space left")
        return latents + 1


def test_a_wrapper_may_change_an_answer():
    (changed, _), (plain, _) = run(Changes()), run()
    assert torch.equal(changed[0].latents, plain[0].latents + 1)


def test_a_wrapper_that_changed_an_answer_decides_so_that_its_failing_stops_the_run():
    with pytest.raises(OSError, match="no space left") as caught:
        run(Changes(fails_at=3))
    assert "lipar_restore of plugin Changes" in caught.value.__notes__[0]


def test_a_watcher_sees_the_error_of_a_stage_and_cannot_swallow_it():
    seen = []

    class Swallows:
        @hookimpl(wrapper=True)
        def lipar_forward(self):
            try:
                yield
            except RuntimeError as error:
                seen.append(str(error))

    class Fails:
        @hookimpl
        def lipar_forward(self):
            raise RuntimeError("lost the device")

    with pytest.raises(RuntimeError, match="lost the device"):
        run(Fails(), Swallows())
    assert seen == ["lost the device"]


def test_what_the_model_itself_raises_names_no_plugin(monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ToyModel, "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        run()
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize(
    "stop", [KeyboardInterrupt(), EndedBySignal(signal.SIGTERM)], ids=["ctrl-c", "sigterm"]
)
def test_ctrl_c_and_sigterm_within_a_plugin_stop_the_run_as_they_are(stop):
    class Watching:
        @hookimpl(wrapper=True)
        def lipar_forward(self):
            yield
            raise stop

    class Deciding:
        @hookimpl
        def lipar_prune(self):
            raise stop

    for plugin in (Watching(), Deciding()):
        with pytest.raises(type(stop)) as caught:
            run(plugin)
        assert not hasattr(caught.value, "__notes__")


def test_sigterm_while_a_plugin_runs_ends_the_program_with_its_own_code():
    class Slow:
        @hookimpl
        def lipar_prune(self):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as caught, Outputs():
        run(Slow())
    assert caught.value.code == 143


def test_an_old_style_wrapper_is_left_out_with_the_way_to_write_it():
    class Old:
        @hookimpl(hookwrapper=True)
        def lipar_forward(self):
            yield

    with pytest.warns(PluginWarning, match="write wrapper=True"):
        host = load_plugins(Old())
    assert [plugin.error is not None for plugin in host.plugins if plugin.distribution == "Old"] == [True]


def test_what_a_host_is_extended_by_is_gone_afterwards():
    host = load_plugins()
    before = list(host.plugins)
    with host.extended(AfterYield(), BeforeYield()):
        assert len(host.plugins) == len(before) + 2
    assert host.plugins == before
    assert len(host.hook.lipar_forward.get_hookimpls()) == 1
