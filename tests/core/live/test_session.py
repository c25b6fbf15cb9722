"""A session gives what an edit of the same frames gives, for as long as frames come, whatever others do."""

import asyncio
import gc
import time
import weakref
from statistics import median
from typing import Any

import av
import numpy as np
import pytest
import torch
from live_toys import (
    BLOCK,
    SIZE,
    PoisonedModel,
    WaitingModel,
    edited,
    moving_pictures,
    run,
    toy_host,
    toy_session,
)

import lipar
from lipar.config import Config, build_config
from lipar.job import RestoredBlock
from lipar.live import LiveBlock, LiveError, ModelHost
from lipar.live.block import Pictures
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.types import Latents
from lipar.video.shade import OPACITY


def whole_edit(
    pictures: Pictures, prompts: dict[int, str], config: Config
) -> tuple[list[RestoredBlock], Pictures]:
    """The same frames as one video through the scheduler; a prompt is valid from a pixel frame on."""
    autoencoder = ToyAutoencoder()
    model = ToyModel(autoencoder=autoencoder)
    frames = torch.from_numpy(pictures).permute(0, 3, 1, 2)[None].to(torch.float32) / 255

    def prompt_at(first_frame: int) -> str:
        return [text for begin, text in prompts.items() if begin <= 4 * first_frame][-1]

    source = autoencoder.encoder()(frames)
    blocks = list(lipar.Scheduler(model, config).run([source], prompts=prompt_at))
    pixels = torch.cat([autoencoder.decoder()(block.latents)[0] for block in blocks])
    return blocks, (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def joined(blocks: list[LiveBlock]) -> Pictures:
    return np.concatenate([block.pictures for block in blocks])


def test_a_session_gives_the_edit_of_the_same_video() -> None:
    pictures = moving_pictures(5 * BLOCK)

    async def main() -> list[LiveBlock]:
        with toy_host() as models:
            async with toy_session(models, config=build_config(settings=["seed=3"]), seed=3) as session:
                first = await edited(session, pictures[: 3 * BLOCK])
                session.change(prompt="snow")
                return first + await edited(session, pictures[3 * BLOCK :], 3 * BLOCK)

    blocks = run(main)
    expected, shown = whole_edit(pictures, {0: "night", 3 * BLOCK: "snow"}, Config(seed=3))
    assert [block.kept_fraction for block in blocks] == [block.layout.kept_fraction for block in expected]
    assert min(block.kept_fraction for block in blocks) < 0.9
    assert np.array_equal(joined(blocks), shown)
    assert np.array_equal(np.concatenate([block.sources for block in blocks]), pictures)
    assert [stamp for block in blocks for stamp in block.stamps] == list(range(5 * BLOCK))
    assert [block.prompt for block in blocks] == ["night"] * 3 + ["snow"] * 2
    assert [block.index for block in blocks] == list(range(5))


def test_sessions_that_share_a_model_do_not_notice_each_other() -> None:
    pictures = moving_pictures(3 * BLOCK)

    async def alone(prompt: str, models: ModelHost) -> list[LiveBlock]:
        async with toy_session(models, prompt) as session:
            return await edited(session, pictures)

    async def main() -> tuple[Any, Any]:
        with toy_host() as models:
            apart = [await alone(prompt, models) for prompt in ("night", "snow")]
            return apart, await asyncio.gather(*(alone(prompt, models) for prompt in ("night", "snow")))

    apart, together = run(main)
    for one, other in zip(apart, together):
        assert np.array_equal(joined(one), joined(other))
    assert not np.array_equal(joined(apart[0]), joined(apart[1]))


@pytest.mark.parametrize(
    "change", [None, {"strength": 0.2}, {"keep": 0.3}, {"threshold": 4.0}, {"seed": 5}, {"dense": True}]
)
def test_after_a_reset_or_a_setting_of_a_run_all_is_as_in_a_new_session(
    change: dict[str, Any] | None,
) -> None:
    before, after = moving_pictures(2 * BLOCK, begin=7), moving_pictures(3 * BLOCK)

    async def main() -> tuple[list[LiveBlock], list[LiveBlock]]:
        with toy_host() as models:
            async with toy_session(models) as session:
                await edited(session, before)
                session.push(before[0])  # must not come into the next block
                if change is None:
                    session.reset()
                else:
                    session.change(**change)
                blocks = await edited(session, after)
            async with toy_session(models, **(change or {})) as session:
                return blocks, await edited(session, after)

    blocks, fresh = run(main)
    assert np.array_equal(joined(blocks), joined(fresh))
    assert [block.run for block in blocks] == [1, 1, 1]
    assert [block.kept_fraction for block in blocks] == [block.kept_fraction for block in fresh]


def test_a_reset_drops_the_block_that_is_being_computed() -> None:
    async def main() -> LiveBlock:
        with toy_host(WaitingModel) as models:
            model = models.model
            assert isinstance(model, WaitingModel)
            async with toy_session(models) as session:
                for picture in moving_pictures(BLOCK):
                    session.push(picture, stamp="before")
                while not model.waits.is_set():
                    await asyncio.sleep(0.001)
                session.reset()
                for picture in moving_pictures(BLOCK):
                    session.push(picture, stamp="after")
                model.go.set()
                return await session.next_block()

    assert set(run(main).stamps) == {"after"}


def test_a_new_prompt_drops_the_frames_that_wait() -> None:
    async def main() -> LiveBlock:
        with toy_host() as models:
            async with toy_session(models) as session:
                for picture in moving_pictures(BLOCK - 1):
                    session.push(picture, stamp="before")
                session.change(prompt="snow")
                for picture in moving_pictures(BLOCK):
                    session.push(picture, stamp="after")
                return await session.next_block()

    assert set(run(main).stamps) == {"after"}


@pytest.mark.parametrize(("prompt", "said"), [("poison", "NaN"), ("error", "the toy fails")])
def test_a_session_that_fails_says_why_and_leaves_the_others(prompt: str, said: str) -> None:
    pictures = moving_pictures(2 * BLOCK)

    async def main() -> list[LiveBlock]:
        with toy_host() as models:
            async with toy_session(models, prompt) as broken, toy_session(models) as whole:
                with pytest.raises(LiveError, match=said) as raised:
                    await edited(broken, pictures)
                assert raised.value.__cause__ is not None
                with pytest.raises(LiveError, match=said):
                    broken.push(pictures[0])
                with pytest.raises(LiveError, match=said):
                    broken.change(prompt="night")
                return await edited(whole, pictures)

    _, shown = whole_edit(pictures, {0: "night"}, Config())
    assert np.array_equal(joined(run(main)), shown)


class SlowModel(ToyModel):
    """Takes a few milliseconds for every forward, more than the frames of a block need to come."""

    def flow(self, latents: Latents, timestep: torch.Tensor, attention: Any) -> Latents:
        time.sleep(0.004)
        return super().flow(latents, timestep, attention)


def test_latency_is_the_same_after_1000_frames_as_after_50() -> None:
    pictures = moving_pictures(BLOCK)

    async def main() -> list[tuple[int, float]]:
        found = []
        with toy_host(SlowModel) as models:
            async with toy_session(models) as session:
                pushed = 0

                async def camera() -> None:
                    nonlocal pushed
                    while True:
                        session.push(pictures[pushed % BLOCK], stamp=pushed)
                        pushed += 1
                        await asyncio.sleep(0.0005)

                task = asyncio.create_task(camera())
                while pushed < 1000:
                    block = await session.next_block()
                    found.append((pushed, pushed - block.stamps[-1]))
                task.cancel()
                assert session.stats().skipped > 0
        return found

    found = run(main)
    early = median(behind for pushed, behind in found if pushed <= 250)
    late = median(behind for pushed, behind in found if pushed > 750)
    # counted in frames of the camera, so that a slow machine is slow on both sides
    assert late <= 3 * early + BLOCK


def test_a_block_that_nobody_takes_is_replaced() -> None:
    pictures = moving_pictures(3 * BLOCK)

    async def main() -> None:
        with toy_host() as models:
            async with toy_session(models) as session:
                for begin in range(0, 3 * BLOCK, BLOCK):
                    for picture in pictures[begin : begin + BLOCK]:
                        session.push(picture, stamp=begin)
                    while session.stats().block * BLOCK <= begin:
                        await asyncio.sleep(0.001)
                assert (await session.next_block()).stamps == (2 * BLOCK,) * BLOCK
                assert session.stats().dropped_blocks == 2

    run(main)


def test_while_paused_frames_are_left_out() -> None:
    pictures = moving_pictures(BLOCK)

    async def main() -> None:
        with toy_host() as models:
            async with toy_session(models) as session:
                session.push(pictures[0], stamp="before")
                session.pause()
                session.push(pictures[1], stamp="paused")
                assert session.stats().paused
                session.resume()
                (block,) = await edited(session, pictures)
                assert block.stamps == tuple(range(BLOCK))

    run(main)


def test_the_overlay_darkens_what_was_not_computed_and_nothing_else() -> None:
    pictures = moving_pictures(2 * BLOCK)

    async def main() -> tuple[LiveBlock, LiveBlock]:
        with toy_host() as models:
            async with toy_session(models) as plain, toy_session(models, overlay=True) as overlaid:
                return (await edited(plain, pictures))[1], (await edited(overlaid, pictures))[1]

    plain, overlaid = run(main)
    same = (plain.pictures == overlaid.pictures).all(axis=(0, 3))
    assert 0 < plain.kept_fraction < 1
    bright = plain.pictures.min(axis=(0, 3)) > 60
    darker = (overlaid.pictures < plain.pictures).any(axis=(0, 3))
    assert same.any() and (darker | same)[bright].all() and darker[bright].any()
    dark = plain.pictures.astype(int) * (256 - OPACITY) // 256
    assert (overlaid.pictures >= np.minimum(dark, plain.pictures)).all()


def test_a_new_prompt_fades_in_where_it_is_asked_for() -> None:
    pictures = moving_pictures(2 * BLOCK)

    async def main(cross_fade: float) -> tuple[LiveBlock, LiveBlock]:
        times = iter(range(10**6))
        with toy_host() as models:
            async with toy_session(
                models, cross_fade=cross_fade, clock=lambda: next(times) / 1000
            ) as session:
                (first,) = await edited(session, pictures[:BLOCK])
                session.change(prompt="snow")
                (second,) = await edited(session, pictures[BLOCK:])
                return first, second

    def distances(block: LiveBlock, to: Pictures) -> list[float]:
        return [float(np.abs(picture.astype(float) - to).mean()) for picture in block.pictures]

    first, hard = run(lambda: main(0.0))
    _, soft = run(lambda: main(5.0))
    last = first.pictures[-1]
    assert distances(soft, last)[0] < distances(hard, last)[0] / 2
    assert distances(soft, last)[0] < distances(soft, last)[-1]


def test_a_frame_of_another_size_covers_the_session_and_is_cropped_at_the_centre() -> None:
    width, height = SIZE
    wide = np.zeros((height, 3 * width, 3), np.uint8)
    wide[:, width : 2 * width] = 200

    async def main() -> LiveBlock:
        with toy_host() as models:
            async with toy_session(models) as session:
                for _ in range(BLOCK):
                    session.push(av.VideoFrame.from_ndarray(wide, format="rgb24"))
                return await session.next_block()

    sources = run(main).sources.astype(int)
    assert abs(sources[:, :, 1:-1] - 200).max() <= 1 and sources[:, :, [0, -1]].min() >= 199 - 60


@pytest.mark.parametrize(
    ("frame", "error", "said"),
    [
        ("frame.png", TypeError, "got str"),
        (np.zeros((4, 4, 3), np.float32), TypeError, "ndarray of float32"),
        (np.zeros((4, 4), np.uint8), ValueError, r"got \(4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "height width 3"),
    ],
)
def test_what_is_no_picture_is_refused_and_the_session_goes_on(
    frame: Any, error: type[Exception], said: str
) -> None:
    async def main() -> None:
        with toy_host() as models:
            async with toy_session(models) as session:
                with pytest.raises(error, match=said):
                    session.push(frame)
                await edited(session, moving_pictures(BLOCK))

    run(main)


def test_a_wrong_setting_changes_nothing() -> None:
    async def main() -> None:
        with toy_host() as models:
            async with toy_session(models) as session:
                with pytest.raises(ValueError, match="strength"):
                    session.change(prompt="snow", strength=2)
                with pytest.raises(TypeError, match="no setting"):
                    session.change(colour="red")
                assert session.settings.prompt == "night"

    run(main)


def test_a_config_that_looks_ahead_is_refused_before_the_first_frame() -> None:
    async def main() -> None:
        with toy_host() as models:
            session = toy_session(models, config=build_config(preset="released"))
            with pytest.raises(ValueError, match="look 3 latent frames ahead"):
                await session.__aenter__()
            with pytest.raises(LiveError, match="async with"):
                session.push(moving_pictures(1)[0])

    run(main)


def test_closing_ends_waiting_and_frees_the_caches() -> None:
    async def main() -> None:
        with toy_host() as models:
            async with toy_session(models) as session:
                await edited(session, moving_pictures(BLOCK))
                assert session._run is not None
                held = weakref.ref(session._run)
                waiting = asyncio.create_task(session.next_block())
                await asyncio.sleep(0)
                await session.close()
                with pytest.raises(LiveError, match="is closed"):
                    await waiting
                gc.collect()
                assert held() is None
                await session.close()

    run(main)


def test_figures_are_told_while_it_runs() -> None:
    async def main() -> None:
        with toy_host() as models:
            async with toy_session(models) as session:
                begin = session.stats()
                assert (begin.block, begin.kept_fraction, begin.stages) == (0, None, {})
                await edited(session, moving_pictures(2 * BLOCK))
                stats = session.stats()
        assert (stats.frames_in, stats.frames_out, stats.block, stats.run) == (2 * BLOCK, 2 * BLOCK, 2, 0)
        assert stats.fps_in > 0 and stats.fps_out > 0 and stats.latency is not None and stats.latency > 0
        assert {"encode", "DiT", "clean pass", "decode to pixels"} <= stats.stages.keys()
        assert stats.device_bytes is None and stats.as_dict()["block"] == 2

    run(main)


def test_a_model_without_an_autoencoder_is_refused() -> None:
    with pytest.raises(ValueError, match="autoencoder"):
        ModelHost(PoisonedModel(autoencoder=None))
