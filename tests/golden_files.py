"""Read, repeat and compare the golden runs of the original implementations."""

import json
from functools import cache
from pathlib import Path

import attrs
import pytest
import torch
from safetensors.torch import load_file

from lipar import Config, Scheduler, TokenLayout, load_plugins
from lipar.engines.engine import CompiledEngine, Engine, GraphEngine
from lipar.engines.recording import CallRecorder
from lipar.hookspecs import hookimpl
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.checkpoints import infer_config, load_transformer, read_checkpoint
from lipar_adapters.wan.run_settings import RunSettings
from lipar_adapters.wan.timesteps import Float64Timesteps

BLOCK = 3
HEAD_DIM = 32
TEXT_ROWS, TEXT_DIM = 512, 64


@cache
def tensors(path: Path) -> dict:
    """The tensors of a golden file."""
    return load_file(path)


def facts(path: Path) -> dict:
    """The description of a golden file: the JSON file with the same name."""
    return json.loads(path.with_suffix(".json").read_text())


def equal_but_for_half(ours, golden) -> bool:
    """Whether our values are the stored ones, up to rounding to float16 and another order of summation."""
    assert golden.dtype == torch.float16
    ours, golden = ours.float(), golden.float()
    return bool(((ours - golden).abs() <= 1e-3 * golden.abs() + 1e-3 * golden.std()).all())


def tiny_transformer(folder: Path):
    """The golden checkpoint as a stock diffusers model, with timesteps embedded in float64 as in the original."""
    path = folder / "G2" / "tiny_checkpoint.pt"
    config = infer_config(read_checkpoint(path), HEAD_DIM)
    transformer = load_transformer(path, dtype=torch.float32, config=config)
    transformer.condition_embedder.timesteps_proj = Float64Timesteps(config["freq_dim"])
    return transformer


def tiny_model(folder: Path, prompt_rows, **recipe) -> CausalWan:
    """The same model in lipar's adapter, with these first rows of the prompt; the other rows are zero."""
    model = CausalWan(tiny_transformer(folder), RunSettings(**recipe))
    model.prompt_embeds = torch.zeros(1, TEXT_ROWS, TEXT_DIM)
    model.prompt_embeds[0, : prompt_rows.shape[0]] = prompt_rows.float()
    return model


def recorded_noise(start, run: dict):
    """The noise of the original: `start` for the first step, the run's stored noise for the others."""
    start = start if start.ndim == 4 else start[0]

    def draw(frame: int, index: int, shape: tuple[int, int, int]):
        if index == 0:
            return start[frame].float()
        return run[f"renoise.b{frame // BLOCK}.after_s{index - 1}_f16"][frame % BLOCK].float()

    return draw


@attrs.define(eq=False)
class Watch:
    """Stores the flow of every pass: (block, step) -> flow, layout; the clean pass is step -1."""

    flows: dict = attrs.field(factory=dict)

    @hookimpl(wrapper=True)
    def lipar_forward(self, forward_pass, layout):
        flow = yield
        self.flows[layout.first_frame // BLOCK, forward_pass.step] = flow, layout
        return flow


@attrs.frozen(eq=False)
class GivenMasks:
    """Prunes by given masks, `t rows cols` of a whole video."""

    keep_mask: torch.Tensor

    @hookimpl
    def lipar_prune(self, job, source, first_frame):
        mask = self.keep_mask[first_frame : first_frame + source.shape[1]]
        return TokenLayout(mask, first_frame=first_frame, has_history=job.history is not None)


@attrs.frozen(eq=False, kw_only=True)
class Repeated:
    """A golden run, repeated."""

    golden: dict
    blocks: list
    flows: dict
    caches: list
    """For each block, the rows of each layer after its clean pass: (k, k_rotated, v)."""
    sigmas: list

    @property
    def final(self):
        return torch.cat([block.latents for block in self.blocks], dim=1)

    @property
    def keep_mask(self):
        return torch.cat([block.layout.keep_mask for block in self.blocks])


def replaying(model):
    """The engine `graphs`, whose recordings are calls."""
    return GraphEngine(model, "in a test", recorder=CallRecorder(), compiles=False)


def compiling(model):
    """The engine `compiled`, without a compiler of machine code."""
    for block in model.transformer.blocks:
        block.compile(backend="aot_eager", dynamic=True)
    model._layers_compiled = True
    return CompiledEngine(model, "in a test")


ENGINES = {"eager": lambda model: Engine(model, "in a test"), "compiled": compiling, "graphs": replaying}


def with_engines(runs: list[str]) -> list:
    """Each run with each engine."""
    return [pytest.param((run, engine), id=f"{run}-{engine}") for run in runs for engine in ENGINES]


def repeat(
    model, config: Config, source, noise, golden: dict, *plugins, dense: bool = False, engine: str = "eager"
) -> Repeated:
    """Run lipar on the inputs of a golden run; the clean pass as well to its end, since its flow is compared."""
    watch = Watch()
    host = load_plugins(watch, *plugins)
    scheduler = Scheduler(model, config, host=host, draw=noise, dense=dense)
    scheduler.job.engine = ENGINES[engine](model)
    scheduler.job.engine.ends_early = False
    blocks, caches = [], []
    for block in scheduler.run([source]):
        blocks.append(block)
        cache = scheduler.job.cache
        caches.append(
            [tuple(x[0, : cache.rows].clone() for x in (r.k, r.k_rotated, r.v)) for r in cache._layers]
        )
    return Repeated(golden=golden, blocks=blocks, flows=watch.flows, caches=caches, sigmas=scheduler.sigmas)
