"""An estimate names what makes a run smaller, by trying each setting on the run's own adapter."""

from typing import Any

import attrs
import pytest
import torch

from lipar import Config
from lipar.config import PartConfig
from lipar.memory import report, switches
from lipar.memory.needs import GIB, MemoryNeeds, MemoryRun, MemoryTerm, OptionSwitch
from lipar.memory.report import MemoryWarning, table, warn_of_memory, warning_text
from lipar.memory.switches import estimate_memory
from lipar.protocols import StreamingAdapter

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@attrs.frozen(kw_only=True)
class Sized(StreamingAdapter):
    """An adapter of round numbers: 8 GiB of weights or 4, 6 of a text encoder, 2 of a window of 12 frames."""

    small: bool = False
    text: str = "device"
    refuses: bool = False

    def memory_needs(self, run: MemoryRun) -> MemoryNeeds:
        if self.small and self.refuses:
            raise ValueError("not both")
        window = run.config.cache.window_frames or 12
        size = run.resolution or (640, 320)
        terms = [
            MemoryTerm(name="transformer", bytes=(4 if self.small else 8) * GIB),
            MemoryTerm(
                name="text encoder",
                bytes=6 * GIB,
                phases=frozenset({"prompt"}),
                on_host=self.text == "host",
            ),
            MemoryTerm(
                name="KV cache",
                bytes=window * size[0] * GIB // (6 * 640),
                phases=frozenset({"denoise", "pixels"}),
            ),
        ]
        return MemoryNeeds(terms=tuple(terms), size=size, token=16, block_frames=3, window_frames=window)

    def memory_switches(self, run: MemoryRun) -> list[OptionSwitch]:
        return [
            OptionSwitch(option="small", value=True, cost="less exact"),
            OptionSwitch(option="text", value="host", cost="slower"),
        ]

    def memory_plenty(self, run: MemoryRun) -> int | None:
        return 100 * GIB

    def load(self, device: torch.device, dtype: torch.dtype) -> Any:
        raise AssertionError("nothing is loaded")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """GiB that are free on each kind of device."""
    found = {"cuda": 1000.0, "cpu": 1000.0}
    for module in (switches, report):
        monkeypatch.setattr(module, "free_bytes", lambda device: int(found[device.type] * GIB))
    return found


def asked(device: torch.device = GPU, **changes: Any) -> MemoryRun:
    return MemoryRun(**{"config": Config(), "device": device, "dtype": torch.bfloat16, **changes})


def test_the_peak_is_that_of_the_phase_that_needs_most(free: dict[str, float]) -> None:
    estimate = estimate_memory(Sized(), asked())
    assert estimate is not None and estimate.fits and not estimate.switches
    assert [estimate.needs.total(phase) for phase in ("prompt", "denoise", "pixels")] == [
        14 * GIB,
        10 * GIB,
        10 * GIB,
    ]
    assert estimate.needed == 14 * GIB and estimate.host_needed == 0


def test_on_a_cpu_both_memories_are_one(free: dict[str, float]) -> None:
    estimate = estimate_memory(Sized(text="host"), asked(CPU))
    assert estimate is not None and estimate.needed == estimate.host_needed == 14 * GIB


def test_switches_come_in_the_order_of_their_gain_and_say_which_is_enough(free: dict[str, float]) -> None:
    free["cuda"] = 10.5
    estimate = estimate_memory(Sized(), asked())
    assert estimate is not None and not estimate.fits
    found = {switch.text: (switch.saved / GIB, switch.fits) for switch in estimate.switches}
    # the cache is not there while the prompt is encoded, which needs most, so its switches gain nothing
    assert found == {"--set adapter.small=true": (4, True), "--set adapter.text=host": (4, True)}


def test_settings_of_the_run_are_tried_too(free: dict[str, float]) -> None:
    free["cuda"] = 1
    estimate = estimate_memory(Sized(text="host"), asked(dtype=torch.float32))
    assert estimate is not None
    saved = {switch.text: switch.saved / GIB for switch in estimate.switches}
    assert saved == {
        "--set adapter.small=true": 4,
        "--set cache.window_frames=6": 1,
        "--resolution 480x240": 0.5,
    }


def test_where_none_is_enough_alone_several_are_named_together(free: dict[str, float]) -> None:
    free["cuda"] = 6.5
    estimate = estimate_memory(Sized(), asked())
    assert estimate is not None and not any(switch.fits for switch in estimate.switches)
    assert estimate.enough == ("--set adapter.small=true", "--set adapter.text=host")
    free["cuda"] = 2
    estimate = estimate_memory(Sized(), asked())
    assert estimate is not None and estimate.enough == ()


def test_what_the_adapter_refuses_is_not_named(free: dict[str, float]) -> None:
    free["cuda"] = 1
    estimate = estimate_memory(Sized(refuses=True), asked())
    assert estimate is not None and "--set adapter.small=true" not in {
        each.text for each in estimate.switches
    }


def test_another_noise_source_is_named_by_what_it_saves(free: dict[str, float]) -> None:
    class Stores(Sized):
        def memory_needs(self, run: MemoryRun) -> MemoryNeeds:
            needs = super().memory_needs(run)
            donors = MemoryTerm(name="donors", bytes=9 * GIB * (run.config.noise.name == "step-matched"))
            return attrs.evolve(needs, terms=(*needs.terms, donors))

    free["cuda"] = 20
    config = Config(noise=PartConfig("step-matched", {}))
    estimate = estimate_memory(Stores(), asked(config=config))
    assert estimate is not None
    assert (estimate.switches[0].text, estimate.switches[0].saved) == ("--set noise=step-shift", 9 * GIB)


def test_the_warning_names_terms_and_switches(free: dict[str, float]) -> None:
    free["cuda"] = 10.5
    message = (
        r"about 14\.0 GiB are needed on cuda and 10\.5 are free: transformer 8\.0, text encoder 6\.0; "
        r".*adapter\.small=true \(saves 4\.00 GiB; it then fits\)"
    )
    with pytest.warns(MemoryWarning, match=message):
        warn_of_memory(Sized(), asked())
    free["cuda"] = 14
    warn_of_memory(Sized(), asked())


def test_too_little_memory_of_the_cpu_is_said(free: dict[str, float]) -> None:
    free["cpu"] = 5
    estimate = estimate_memory(Sized(text="host"), asked())
    assert estimate is not None and not estimate.fits
    assert "6.0 GiB are needed on the CPU and 5.0 are free: text encoder 6.0" in warning_text(estimate)


def test_with_plenty_of_memory_the_adapter_is_not_asked(
    free: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "estimate_memory", lambda *_: pytest.fail("asked"))
    warn_of_memory(Sized(), asked())


def test_an_estimate_that_fails_does_not_end_a_run(free: dict[str, float]) -> None:
    class Failing(Sized):
        def memory_needs(self, run: MemoryRun) -> MemoryNeeds:
            raise KeyError("num_layers")

    free["cuda"] = 1
    with pytest.warns(MemoryWarning, match="could not be estimated: .*num_layers"):
        warn_of_memory(Failing(), asked())
    with pytest.raises(ValueError, match="not both"):
        warn_of_memory(Sized(small=True, refuses=True), asked())


def test_an_adapter_that_does_not_know_gives_no_estimate(free: dict[str, float]) -> None:
    class Unknown(Sized):
        def memory_needs(self, run: MemoryRun) -> None:  # type: ignore[override]
            return None

    assert estimate_memory(Unknown(), asked()) is None


def test_the_table_has_a_row_for_each_term_and_one_for_what_is_free(free: dict[str, float]) -> None:
    free["cuda"] = 10.5
    estimate = estimate_memory(Sized(text="host"), asked())
    assert estimate is not None
    rows = [row.split() for row in table(estimate)]
    assert ["KV", "cache", "2.00", "2.00"] in rows and ["free", "on", "cuda", "10.50"] in rows
    assert ["needed", "on", "cuda", "8.00", "10.00", "10.00"] in rows
    assert ["text", "encoder", "6.00"] in rows and ["it", "fits"] in rows
