"""Whatever is enabled, disabled, exchanged, called and interrupted in whatever order, every forward is its owner's."""

from functools import cache
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pipeline_toys import run, some_layout
from profiles import TIMES
from wan_toys import bare, hooks_of, object_graph, toy_pipeline, toy_transformer

import lipar
from lipar_adapters.stock.processors import stock_of

SCHEDULERS = {"a": "euler", "b": "unipc"}
PIPELINES, TRANSFORMERS = st.sampled_from("ab"), st.sampled_from([0, 1])
LAYOUTS = st.sampled_from([1, 2])
HOST = lipar.load_plugins()


@cache
def expected_run(scheduler: str, transformer: int, layout: int | None, of_transformer: bool) -> torch.Tensor:
    """The result of a new pipeline, enabled by a layout itself or on its transformer."""
    pipe = toy_pipeline("t2v", scheduler=scheduler, transformer=toy_transformer(transformer))
    if layout is not None:
        lipar.enable(pipe.transformer if of_transformer else pipe, layout=some_layout(layout), host=HOST)
    return run(pipe, "t2v", num_inference_steps=2, guidance_scale=1.0)


@cache
def expected_bare(transformer: int, layout: int | None) -> torch.Tensor:
    fresh = toy_transformer(transformer)
    if layout is not None:
        lipar.enable(fresh, layout=some_layout(layout), host=HOST)
    return bare(fresh)


class Orders(RuleBasedStateMachine):
    """Two pipelines with schedulers of their own on two transformers, both of which may be either's."""

    def __init__(self) -> None:
        super().__init__()
        self.transformers = [toy_transformer(seed) for seed in (0, 1)]
        self.pipes = {
            name: toy_pipeline("t2v", scheduler=kind, transformer=self.transformers[0])
            for name, kind in SCHEDULERS.items()
        }
        self.of: dict[str, int] = {"a": 0, "b": 0}
        self.enabled: dict[Any, int | None] = {"a": None, "b": None, 0: None, 1: None}
        self.saved: dict[int, dict[str, Any]] = {}
        for name in self.pipes:
            self.call(name)
        self.before = [vars(pipe).keys() | set() for pipe in self.pipes.values()]

    def target(self, name: Any) -> Any:
        return self.pipes[name] if isinstance(name, str) else self.transformers[name]

    @rule(name=PIPELINES | TRANSFORMERS, layout=LAYOUTS)
    def enable(self, name: Any, layout: int) -> None:
        lipar.enable(self.target(name), layout=some_layout(layout), host=HOST)
        self.enabled[name] = layout

    @rule(name=PIPELINES | TRANSFORMERS)
    def disable(self, name: Any) -> None:
        lipar.disable(self.target(name), host=HOST)
        self.enabled[name] = None

    @rule(name=PIPELINES, transformer=TRANSFORMERS)
    def exchange(self, name: str, transformer: int) -> None:
        self.pipes[name].transformer = self.transformers[transformer]
        self.of[name] = transformer

    @rule(transformer=TRANSFORMERS)
    def set_processors(self, transformer: int) -> None:
        self.transformers[transformer].set_attn_processor(WanAttnProcessor())

    @rule(transformer=TRANSFORMERS)
    def save_processors(self, transformer: int) -> None:
        self.saved[transformer] = dict(self.transformers[transformer].attn_processors)

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def restore_processors(self, data: st.DataObject) -> None:
        transformer = data.draw(st.sampled_from(sorted(self.saved)))
        self.transformers[transformer].set_attn_processor(dict(self.saved[transformer]))

    @rule(name=PIPELINES)
    def call(self, name: str) -> None:
        found = run(self.pipes[name], "t2v", num_inference_steps=2, guidance_scale=1.0)
        assert torch.equal(found, self.expected(name))

    @rule(transformer=TRANSFORMERS)
    def call_transformer(self, transformer: int) -> None:
        found = bare(self.transformers[transformer])
        assert torch.equal(found, expected_bare(transformer, self.enabled[transformer]))

    @rule(name=PIPELINES)
    def interrupt(self, name: str) -> None:
        def stop(*_: Any) -> dict[str, Any]:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(self.pipes[name], "t2v", num_inference_steps=2, callback_on_step_end=stop)

    @rule(outer=PIPELINES, inner=PIPELINES | TRANSFORMERS, layout=LAYOUTS, on=st.booleans())
    def change_in_the_middle(self, outer: str, inner: Any, layout: int, on: bool) -> None:
        """Enable or disable while a call runs; how that call ends is its own affair, the next ones are as ever."""

        def change(*_: Any) -> dict[str, Any]:
            if on:
                self.enable(inner, layout)
            else:
                self.disable(inner)
            return {}

        run(self.pipes[outer], "t2v", num_inference_steps=2, guidance_scale=1.0, callback_on_step_end=change)

    @rule(outer=PIPELINES)
    def call_in_the_middle(self, outer: str) -> None:
        """The other pipeline and both transformers, while this one's call runs."""
        inner = {"a": "b", "b": "a"}[outer]

        def call(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
            if step == 0:
                self.call(inner)
                for transformer in (0, 1):
                    self.call_transformer(transformer)
            return {}

        changes: dict[str, Any] = {"num_inference_steps": 2, "guidance_scale": 1.0}
        found = run(self.pipes[outer], "t2v", callback_on_step_end=call, **changes)
        assert torch.equal(found, self.expected(outer))

    def expected(self, name: str) -> torch.Tensor:
        own, transformer = self.enabled[name], self.of[name]
        if own is not None:
            return expected_run(SCHEDULERS[name], transformer, own, False)
        return expected_run(SCHEDULERS[name], transformer, self.enabled[transformer], True)

    @invariant()
    def hooks_are_those_of_enabled_transformers(self) -> None:
        for index, transformer in enumerate(self.transformers):
            assert hooks_of(transformer) == (0 if self.enabled[index] is None else 5)

    @invariant()
    def the_summary_is_true(self) -> None:
        for name, layout in self.enabled.items():
            assert lipar.summary(self.target(name), host=HOST).enabled is (layout is not None)

    def teardown(self) -> None:
        for name in self.enabled:
            self.disable(name)
        for index, transformer in enumerate(self.transformers):
            modules = [attn for block in transformer.blocks for attn in (block.attn1, block.attn2)]
            assert all(stock_of(attn) is attn.processor for attn in modules)
            # diffusers leaves its own cache contexts
            left = object_graph(transformer).keys() - {"._diffusers_hook"}
            assert left == object_graph(toy_transformer(index)).keys()
            assert torch.equal(bare(transformer), expected_bare(index, None))
        assert [vars(pipe).keys() for pipe in self.pipes.values()] == self.before
        for name in self.pipes:
            self.call(name)


def test_every_forward_is_its_owners_in_whatever_order_things_are_enabled_disabled_and_exchanged() -> None:
    run_state_machine_as_test(
        Orders, settings=settings(max_examples=12 * TIMES, stateful_step_count=12, deadline=None)
    )
