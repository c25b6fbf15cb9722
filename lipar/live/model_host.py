"""One loaded model that several sessions share."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lipar.protocols import Autoencoder, Model
from lipar.spec import NO_AUTOENCODER

Answer = TypeVar("Answer")


class ModelHost:
    """A loaded model, and the one thread that calls it.

    Sessions take turns, a block each: the thread does their steps in the order in which they were asked for. What a
    session needs of the past (caches, streams of the autoencoder) it has itself; the model keeps only weights and the
    prompt, which is set before each step.

    Args:
        model: with an autoencoder; nothing else may use it until `close`.

    Raises:
        ValueError: the model has no autoencoder.
    """

    def __init__(self, model: Model) -> None:
        if model.autoencoder is None:
            raise ValueError(NO_AUTOENCODER)
        self.model = model
        self.autoencoder: Autoencoder = model.autoencoder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lipar-live")
        self._prompt: str | None = None

    async def call(self, step: Callable[[], Answer]) -> Answer:
        """Have a step done in the model's thread, after those that were asked for before.

        Raises:
            Exception: what the step raised.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    def set_prompt(self, prompt: str) -> None:
        """Set the model's prompt; only inside a step."""
        if prompt != self._prompt:
            self._prompt = None  # if it fails, it is not known which prompt is set
            self.model.set_prompt(prompt)
            self._prompt = prompt

    def close(self) -> None:
        """End the thread, after the step that it does; steps that still wait are not done."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> "ModelHost":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
