"""The memory of the KV cache is estimated from the run's own config: window, steps, noise source and resolution."""

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from wan_toys import toy_transformer

from lipar import Config, Scheduler, build_config, load_plugins
from lipar.events import EditOptions
from lipar.memory.report import MemoryWarning
from lipar.testing.toy import ToyModel
from lipar_adapters.wan import cache_memory as memory
from lipar_adapters.wan.cache_memory import run_bytes
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings

PIXELS = 64 * 96
FRAME = (PIXELS // 16**2) * 2 * 16 * 2 * 4
"""Bytes of the keys of a latent frame: tokens, 2 heads of 16, 2 layers, float32."""


def model(**settings: Any) -> CausalWan:
    return CausalWan(toy_transformer(), RunSettings(**settings))


def configured(*settings: str) -> Config:
    return build_config(settings=settings)


def options(tmp_path: Path) -> EditOptions:
    return EditOptions(prompt="", output=tmp_path / "out.mp4", resolution=(96, 64))


def begun(tmp_path: Path, config: Config, edited: Any) -> None:
    """What the plugins are told when an edit begins."""
    hook = load_plugins().hook
    hook.lipar_edit_begun(config=config, options=options(tmp_path), model=edited, frames=None)


def test_keys_are_counted_twice_and_values_once_for_each_cached_frame() -> None:
    assert run_bytes(model(sink_frames=1, window_frames=6), Config(), PIXELS) == (3 * 7 * FRAME, 0)


def test_the_window_of_the_config_is_the_one_that_counts() -> None:
    config = configured("cache.sink_frames=2", "cache.window_frames=9")
    assert run_bytes(model(sink_frames=1, window_frames=6), config, PIXELS)[0] == 3 * 11 * FRAME


def test_the_noise_source_of_the_config_is_asked_what_it_keeps_of_each_step() -> None:
    matched = configured("noise=step-matched", "noise.frame=same", "steps=[600,400,200]", "strength=0.6")
    assert run_bytes(model(block_frames=3), matched, PIXELS)[1] == 2 * 3 * 3 * FRAME
    last = configured("noise=step-matched", "noise.frame=last", "steps=[600,400]", "strength=0.6")
    assert run_bytes(model(block_frames=3), last, PIXELS)[1] == 2 * 2 * 1 * FRAME
    assert run_bytes(model(), matched, PIXELS, dense=True)[1] == 0


def test_donors_are_not_counted_where_the_recovery_fills_nothing() -> None:
    config = configured("recovery=none", "noise=step-matched")
    assert run_bytes(model(), config, PIXELS)[1] == 0


def test_guidance_doubles_everything() -> None:
    one, two = (run_bytes(model(guidance_scale=scale), Config(), PIXELS)[0] for scale in (1.0, 3.0))
    assert two == 2 * one


def test_an_unlimited_window_holds_the_trained_length() -> None:
    assert run_bytes(model(window_frames=0), Config(), PIXELS)[0] == 3 * 21 * FRAME


def test_without_steps_nothing_is_cached() -> None:
    assert run_bytes(model(), configured("strength=0"), PIXELS) == (0, 0)


def test_the_estimate_is_what_a_run_takes() -> None:
    wan = model(sink_frames=1, window_frames=6)
    wan.prompt_embeds = torch.randn(1, 4, 64)
    scheduler = Scheduler(wan, configured("prune.tau_short=0.5", "prune.tau_long=0.5"))
    for _ in scheduler.run([torch.randn(1, 12, 16, 8, 12)]):
        pass
    assert scheduler.job.cache.memory_bytes() == run_bytes(wan, scheduler.config, PIXELS)[0]


def test_an_edit_that_will_not_fit_is_warned_of_when_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured("noise=step-matched", "noise.frame=same")
    cache, donors = run_bytes(model(), config, PIXELS)
    monkeypatch.setattr(memory, "free_bytes", lambda _: cache + donors)
    begun(tmp_path, config, model())
    monkeypatch.setattr(memory, "free_bytes", lambda _: cache + donors - 1)
    with pytest.warns(MemoryWarning, match=r"noise source 'step-matched' keeps .* set cache\.window_frames"):
        begun(tmp_path, config, model())


def test_nothing_is_said_twice_of_an_edit_that_was_checked_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 0)
    checked = attrs.evolve(options(tmp_path), memory_checked=True)
    load_plugins().hook.lipar_edit_begun(config=Config(), options=checked, model=model(), frames=None)


def test_a_model_that_does_not_know_its_sizes_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 0)
    begun(tmp_path, Config(), ToyModel())
