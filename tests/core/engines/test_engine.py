"""Engines by name: what runs where, what is refused, and what a run says of it."""

import pytest
import torch

import lipar
from lipar import Scheduler
from lipar.config import Config, ConfigError, PruneConfig, RunConfig, build_config
from lipar.engines.engine import CompiledEngine, Engine, GraphEngine, make_engine
from lipar.engines.recording import CallRecorder
from lipar.testing.toy import ToyModel

TAUS = PruneConfig(tau_short=0.1, tau_long=0.2)


def test_on_a_cpu_a_run_is_eager_and_says_why():
    engine = make_engine(ToyModel(), "auto")
    assert type(engine) is Engine and not engine.fused
    assert engine.summary() == (
        "eager (chosen since the model is on cpu, and CUDA graphs need an NVIDIA GPU)"
    )


def test_graphs_are_refused_on_a_cpu_with_what_to_take():
    with pytest.raises(ValueError, match=r"'graphs': the model is on cpu.*take 'eager' or 'auto'"):
        make_engine(ToyModel(), "graphs")


def test_graphs_on_a_cpu_are_refused_before_a_model_is_loaded(monkeypatch, tmp_path):
    def load(*_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("lipar_adapters.tiny.adapter.Tiny.load", load)
    with pytest.raises(ConfigError, match="CUDA graphs need an NVIDIA GPU"):
        lipar.edit(None, "snow", tmp_path / "out.mp4", device="cpu", engine="graphs", quiet=True)


def test_an_unknown_name_is_refused_with_all_names():
    with pytest.raises(ValueError, match="no engine named 'fast'; there are auto, eager, compiled, graphs"):
        make_engine(ToyModel(), "fast")
    with pytest.raises(ConfigError, match=r"run\.engine.*eager"):
        build_config(settings=["run.engine=fast"])


def test_a_gpu_with_triton_takes_graphs_by_itself(monkeypatch):
    model = ToyModel()
    model.device = torch.device("cuda")
    monkeypatch.setattr("lipar.engines.engine.has_triton", lambda: True)
    monkeypatch.setattr("lipar.engines.engine.CudaRecorder", lambda device: CallRecorder())
    engine = make_engine(model, "auto")
    assert isinstance(engine, GraphEngine) and engine.fused
    monkeypatch.setattr("lipar.engines.engine.has_triton", lambda: False)
    assert "Triton is missing" in make_engine(model, "auto").summary()


class Compiling(ToyModel):
    """A model that notes how its layers were run, and may fail to compile them."""

    def __init__(self, error=None):
        super().__init__()
        self.error, self.modes, self.compiled = error, [], False

    def use_compiled_layers(self, on):
        self.compiled = on

    def forward(self, latents, forward_pass, attention):
        if self.compiled and self.error is not None:
            raise self.error
        self.modes.append(self.compiled)
        return super().forward(latents, forward_pass, attention)


def blocks(model, engine, count=2):
    model.set_prompt("watercolour")
    made = Scheduler(model, Config(run=RunConfig(engine="eager"), prune=TAUS))
    if engine is not None:
        made.job.engine = engine
    source = torch.randn(1, 3 * count, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return [block.latents for block in made.run([source])]


def test_the_compiled_engine_runs_compiled_layers_and_times_the_first_pass():
    model = Compiling()
    engine = CompiledEngine(model, "as asked")
    compiled = blocks(model, engine)
    assert all(model.modes) and engine.compile_seconds > 0
    assert "first pass with compiling" in engine.summary()
    eager = blocks(model, None)
    assert not any(model.modes[-6:])
    assert all(torch.equal(one, other) for one, other in zip(compiled, eager, strict=True))


def test_layers_that_cannot_be_compiled_are_an_error_if_they_were_asked_for():
    from torch._inductor.exc import InductorError

    model = Compiling(InductorError(RuntimeError("no compiler"), None))
    with pytest.raises(InductorError) as raised:
        blocks(model, CompiledEngine(model, "as asked"))
    assert any("run with the engine 'eager'" in note for note in raised.value.__notes__)


def test_an_engine_that_was_chosen_by_itself_goes_on_without_compiled_layers():
    from torch._inductor.exc import InductorError

    model = Compiling(InductorError(RuntimeError("no compiler"), None))
    engine = CompiledEngine(model, "chosen", falls_back=True)
    assert len(blocks(model, engine)) == 2
    assert "could not be compiled: InductorError" in engine.summary()


def test_graphs_round_the_number_of_kept_tokens_to_few_sizes(monkeypatch):
    model = ToyModel()
    model.set_prompt("watercolour")
    engine = GraphEngine(model, "in a test", recorder=CallRecorder(), compiles=False)
    monkeypatch.setattr("lipar.new_job.make_engine", lambda *_: engine)
    made = Scheduler(model, Config(run=RunConfig(sizes=4), prune=TAUS))
    source = torch.randn(1, 30, 4, 8, 8, generator=torch.Generator().manual_seed(0)).cumsum(1) / 8
    counts = {block.layout.kept_count for block in made.run([source])}
    assert counts <= {0, 12, 24, 36, 48} and len(counts) > 1
