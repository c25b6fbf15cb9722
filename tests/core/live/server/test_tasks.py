"""Tasks and messages that wait."""

import asyncio
import json

import pytest

from lipar.live.server.ending import Ended
from lipar.live.server.outbox import Outbox
from lipar.live.server.tasks import Latest, until_first


def test_the_latest_items_are_kept_in_their_order() -> None:
    async def run() -> list[int]:
        latest: Latest[int] = Latest(3)
        for number in range(10):
            latest.put(number)
        return [await latest.take() for _ in range(3)]

    assert asyncio.run(run()) == [7, 8, 9]


def test_whoever_waits_gets_the_item_that_comes() -> None:
    async def run() -> int:
        latest: Latest[int] = Latest(3)
        taking = asyncio.create_task(latest.take())
        await asyncio.sleep(0)
        latest.put(5)
        return await taking

    assert asyncio.run(run()) == 5


def test_when_a_part_fails_the_others_have_ended_and_its_error_is_raised() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("one")

    with pytest.raises(LookupError, match="one"):
        asyncio.run(until_first(waits(), fails(), waits()))
    assert ended == [True, True]


def test_when_all_are_cancelled_all_parts_have_ended() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def run() -> None:
        task = asyncio.create_task(until_first(waits(), waits()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ended == [True, True]


def test_of_figures_only_the_latest_waits_and_answers_go_first() -> None:
    async def run() -> list[object]:
        outbox = Outbox(3)
        for number in range(5):
            outbox.put({"type": "stats", "block": number})
        outbox.put({"type": "reset"})
        return [json.loads(await outbox.take()) for _ in range(2)]

    assert asyncio.run(run()) == [{"type": "reset"}, {"type": "stats", "block": 4}]


def test_answers_that_nobody_reads_end_the_session() -> None:
    outbox = Outbox(3)
    for _ in range(3):
        outbox.put({"type": "reset"})
    with pytest.raises(Ended, match="3 answers wait"):
        outbox.put({"type": "reset"})
    outbox.put({"type": "stats"})
    assert outbox.drain() == 3 * ['{"type": "reset"}']
