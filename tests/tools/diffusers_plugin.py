"""A pytest plugin for diffusers' own tests: every Wan transformer and pipeline that they make is enabled by lipar.

Given by `tests/tools/diffusers_tests.py`, which says by `LIPAR_DIFFUSERS_MODE` what stands in the tests' objects:
nothing of lipar (`stock`), `lipar.enable` that keeps every token (`keep-all`), or one that keeps about half (`half`).
"""

import functools
import hashlib
import inspect
import json
import os
import random
import warnings
from pathlib import Path

# the installed diffusers, before the tests' own conftest puts the checkout's in front
import diffusers
import numpy as np
import pytest
import torch
import transformers

import lipar
from lipar.enabling.target import EnableWarning

MODE = os.environ["LIPAR_DIFFUSERS_MODE"]
PIPELINES = ("WanPipeline", "WanImageToVideoPipeline", "WanVideoToVideoPipeline")
T5 = "hf-internal-testing/tiny-random-t5"
enabled: list[str] = []
"""What was enabled in the test at hand: calls of `lipar.enable`."""
outputs: list[str] = []
"""Digests of what its models and pipelines gave."""


def layout(grid):
    """Which tokens are kept: always the same for a grid; the first frame whole."""
    keep = torch.rand(grid, generator=torch.Generator().manual_seed(0)) < 0.5
    keep[0] = True
    if MODE == "keep-all":
        keep[:] = True
    return lipar.TokenLayout(keep, has_history=False)


def enable(target, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnableWarning)  # without a source every token is kept, and said to be
        lipar.enable(target, **options)
    enabled.append(type(target).__name__)


def note(result):
    """Write down the bits of the first thing in a result, if they are numbers."""
    found = result[0] if isinstance(result, tuple) else next(iter(result.values()), None)
    if isinstance(found, torch.Tensor):
        found = found.detach().cpu().float().numpy()
    if isinstance(found, np.ndarray):
        outputs.append(hashlib.sha256(np.ascontiguousarray(found)).hexdigest()[:16])


def follow_flow(pipe):
    """Give a pipeline a schedule of flow matching, also without lipar: those of the tests with another are refused."""
    scheduler = pipe.scheduler
    if scheduler is not None and not getattr(scheduler.config, "use_flow_sigmas", True):
        changes = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
        pipe.register_modules(scheduler=type(scheduler).from_config(scheduler.config, **changes))


def wrap(cls, grid_of):
    """Enable every object of a class when it is made, and for the clip of each call before it."""
    made, called = cls.__init__, cls.__call__

    @functools.wraps(made)
    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        if type(self) is not cls:
            return
        if isinstance(self, diffusers.DiffusionPipeline):
            follow_flow(self)
            if self.transformer is None and getattr(self, "transformer_2", None) is None:
                return  # there is nothing to prune, which lipar.enable says
        if MODE != "stock":
            enable(self)

    @functools.wraps(called)
    def call(self, *args, **kwargs):
        if type(self) is cls and MODE != "stock":
            grid = grid_of(self, *args, **kwargs)
            if grid is not None and getattr(self, "_lipar_test_grid", None) != grid:
                enable(self, layout=layout(grid))
                self._lipar_test_grid = grid
        result = called(self, *args, **kwargs)
        if type(self) is cls:
            note(result)
        return result

    cls.__init__, cls.__call__ = init, call


def grid_of_forward(transformer, *args, **kwargs):
    latents = kwargs.get("hidden_states", args[0] if args else None)
    patch = transformer.config.patch_size
    if not isinstance(latents, torch.Tensor) or latents.ndim != 5 or not lipar.summary(transformer).enabled:
        return None
    return tuple(side // part for side, part in zip(latents.shape[2:], patch, strict=True))


def grid_of_call(pipe, *args, **kwargs):
    if not lipar.summary(pipe).enabled:
        return None
    given = inspect.signature(type(pipe).__call__).bind(pipe, *args, **kwargs)
    given.apply_defaults()
    named = given.arguments
    frames = named.get("num_frames")
    if frames is None:
        video = named["video"]
        frames = len(video[0] if isinstance(video[0], list) else video)
    transformer = pipe.transformer if pipe.transformer is not None else pipe.transformer_2
    token = pipe.vae_scale_factor_spatial * transformer.config.patch_size[1]
    return (
        (frames - 1) // pipe.vae_scale_factor_temporal + 1,
        named["height"] // token,
        named["width"] // token,
    )


def offline(cls, substitute):
    """Stand in for a small model of the hub's that the tests ask for, where this machine has not got it."""
    original = cls.from_pretrained

    def from_pretrained(name, *args, **kwargs):
        try:
            return original(name, *args, **kwargs)
        except OSError:
            if name != T5:
                raise
            return substitute()

    cls.from_pretrained = from_pretrained


def tokenizer():
    from lipar_adapters.tiny.text import build_tokenizer

    return build_tokenizer()


def pytest_configure(config):
    offline(transformers.AutoTokenizer, tokenizer)
    offline(
        transformers.AutoConfig,
        lambda: transformers.T5Config(
            vocab_size=1103,
            d_model=32,
            d_kv=8,
            d_ff=37,
            num_layers=5,
            num_heads=4,
            relative_attention_num_buckets=8,
        ),
    )
    wrap(diffusers.WanTransformer3DModel, grid_of_forward)
    for name in PIPELINES:
        wrap(getattr(diffusers, name), grid_of_call)


outcomes: dict[str, dict] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    # weights and inputs that a test draws without a seed are the same in every mode
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    found = outcomes.setdefault(item.nodeid, {"outcome": "passed", "said": "", "enabled": 0, "outputs": []})
    if report.outcome != "passed" and found["outcome"] == "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        found["outcome"], found["said"] = report.outcome, crash.message if crash else str(report.longrepr)
    if call.when == "teardown":
        found["enabled"], found["outputs"] = len(enabled), outputs[:]
        enabled.clear()
        outputs.clear()
    return report


def pytest_sessionfinish(session):
    Path(os.environ["LIPAR_DIFFUSERS_OUTCOMES"]).write_text(json.dumps(outcomes, indent=1), "utf-8")
