"""What tests of live sessions share: a moving picture, and toy models that are slow or fail on a word."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import torch

from lipar.live import LiveBlock, LiveSettings, ModelHost, Session
from lipar.live.block import Pictures
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.types import Latents

SIZE = (32, 24)
"""Width and height of toy sessions."""
BLOCK = 12
"""Pixel frames of a toy's block."""
LONGEST = 60
"""Seconds after which a test fails instead of waiting."""


class PoisonedModel(ToyModel):
    """Gives NaN while the prompt has the word `poison`, and raises while it has `error`."""

    def flow(self, latents: Latents, timestep: torch.Tensor, attention: Any) -> Latents:
        if self.prompt and "error" in self.prompt:
            raise RuntimeError("the toy fails")
        flow = super().flow(latents, timestep, attention)
        return flow * torch.nan if self.prompt and "poison" in self.prompt else flow


class WaitingModel(ToyModel):
    """Waits in each forward until `go` is set."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.go, self.waits = threading.Event(), threading.Event()

    def flow(self, latents: Latents, timestep: torch.Tensor, attention: Any) -> Latents:
        self.waits.set()
        assert self.go.wait(LONGEST)
        return super().flow(latents, timestep, attention)


def toy_host(kind: type[ToyModel] = PoisonedModel) -> ModelHost:
    """A model host with a toy."""
    return ModelHost(kind(autoencoder=ToyAutoencoder()))


def toy_session(models: ModelHost, prompt: str = "night", **options: Any) -> Session:
    """A session of the toys' size; settings are taken from the options."""
    names = {"strength", "keep", "threshold", "seed", "dense", "overlay", "cross_fade"}
    settings = LiveSettings(prompt=prompt, **{name: options.pop(name) for name in names & options.keys()})
    return Session(models, settings, size=SIZE, **options)


def moving_pictures(count: int, begin: int = 0) -> Pictures:
    """A bright square on a still background, four pixels further in each frame."""
    width, height = SIZE
    background = np.random.default_rng(0).integers(0, 120, (height, width, 3), np.uint8)
    pictures = np.stack([background] * count)
    for index, picture in enumerate(pictures):
        left = 4 * (begin + index) % (width - 8)
        picture[4:12, left : left + 8] = 240
    return pictures


async def edited(session: Session, pictures: Pictures, first_stamp: int = 0) -> list[LiveBlock]:
    """The blocks of pictures that are pushed a block at a time, so that none is left out."""
    blocks = []
    for begin in range(0, len(pictures), BLOCK):
        for offset, picture in enumerate(pictures[begin : begin + BLOCK]):
            session.push(picture, stamp=first_stamp + begin + offset)
        blocks.append(await session.next_block())
    return blocks


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine to its end, or fail after `LONGEST` seconds."""

    async def limited() -> Any:
        return await asyncio.wait_for(main(), LONGEST)

    return asyncio.run(limited())
