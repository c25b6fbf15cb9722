"""A first block before anybody connects: mistakes show themselves, and compiled code is made."""

import asyncio

import numpy as np

from lipar.config import Config
from lipar.live.model_host import ModelHost
from lipar.live.session import Session
from lipar.live.settings import LiveSettings
from lipar.plugin.host import PluginHost

GREY = 128


def warm_up(
    models: ModelHost,
    settings: LiveSettings,
    *,
    config: Config,
    size: tuple[int, int],
    host: PluginHost | None = None,
) -> None:
    """Edit grey pictures, the result of which nobody sees.

    Args:
        models: the model.
        settings: of the sessions to come.
        config: likewise.
        size: likewise.
        host: plugins, of this alone; None: all that are installed.

    Raises:
        LiveError: the edit fails.
        ValueError: settings, config or size are wrong.
    """
    asyncio.run(_edit_grey(Session(models, settings, config=config, size=size, host=host)))


async def _edit_grey(session: Session) -> None:
    width, height = session.size
    async with session:
        for _ in range(session.block_frames):  # the first block of a run takes as many, or fewer
            session.push(np.full((height, width, 3), GREY, np.uint8))
        await session.next_block()
