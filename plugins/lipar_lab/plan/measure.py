"""Times of the stages on this machine, by kept tokens and length of context."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from statistics import median

import attrs

from lipar.config import Config
from lipar.masks.source import pixel_frames_in
from lipar.plugin.host import PluginHost
from lipar.protocols import Autoencoder, Model
from lipar.speedup import first_steady_block
from lipar.video import PixelFrame
from lipar.video.synthetic import synthetic_clip
from lipar_lab.bench.ratios import rounds
from lipar_lab.plan.calibration import Sample
from lipar_lab.plan.given_share import GivenShare
from lipar_lab.plan.model_part import DoneBlock, run_model_part

SHARES = (1.0, 0.7, 0.5, 0.35, 0.2, 0.08, 0.02)
"""Fractions of the tokens that are timed with the whole context."""
GROWING_SHARES = (0.5, 1.0, 0.2)
"""Fractions while the context grows, one after the other."""
PROMPT = "watercolour"
"""Any text: no time depends on it."""


@attrs.frozen(kw_only=True)
class StageTimes:
    """What `measure_stages` found; see `Calibration` for the meaning of each figure."""

    tokens: int
    samples: tuple[Sample, ...]
    encode_first: float
    encode: float
    decode_first: float
    mask: float
    nothing_kept: float
    warm_first: float
    """Seconds of the first block of this process, all stages."""
    later_first: float
    """Seconds of the first block of later scenes."""


def measured_config(config: Config) -> Config:
    """The config without detection of scene cuts, since the source of a calibration shows the same frames again."""
    return attrs.evolve(config, prune=attrs.evolve(config.prune, scene_cuts=False))


def growing_blocks(model: Model, config: Config) -> int:
    """Blocks of a scene between its first one and the first with the whole context."""
    sink, window = config.cache.sink_frames, config.cache.window_frames
    steady = first_steady_block(
        model.sink_frames if sink is None else sink,
        model.window_frames if window is None else window,
        model.block_frames,
    )
    return max(steady - 1, 0)


def source_frames(model: Model, autoencoder: Autoencoder, size: tuple[int, int]) -> Iterator[PixelFrame]:
    """The frames of two blocks, over and over.

    Args:
        model: gives the frames of a block.
        autoencoder: the model's.
        size: width and height.
    """
    return cycle(list(synthetic_clip(pixel_frames_in(autoencoder, 1, 2 * model.block_frames), *size)))


def scene(
    model: Model,
    config: Config,
    shares: Sequence[float],
    size: tuple[int, int],
    host: PluginHost,
    done: Callable[[], object] = bool,
    decodes: Callable[[int], bool] | None = None,
) -> list[DoneBlock]:
    """The blocks of a scene that keep these shares, after a first block that is kept in full.

    Args:
        model: with an autoencoder and a prompt.
        config: of `measured_config`.
        shares: fraction of the tokens of each block after the first.
        size: width and height to process at, in pixels.
        host: the plugins.
        done: called after each block.
        decodes: which blocks are decoded, by index; None: two, and all where regions are decoded.
    """
    assert model.autoencoder is not None
    masks = GivenShare()
    blocks: list[DoneBlock] = []
    frames = source_frames(model, model.autoencoder, size)
    with host.extended(masks):
        running = run_model_part(model, config, frames, host=host, decodes=decodes or _decoded(config))
        for share in (1.0, *shares):
            masks.share = share
            blocks += islice(running, 1)
            done()
        running.close()
    return blocks


def _decoded(config: Config) -> Callable[[int], bool]:
    """Which blocks of a scene are decoded: two, since decoding whole frames always takes as long; all with regions."""
    return lambda index: index < 2 or config.decode.regions != "off"


def measure_stages(
    model: Model,
    config: Config,
    size: tuple[int, int],
    *,
    host: PluginHost,
    repeats: int,
    done: Callable[[], object] = bool,
) -> StageTimes:
    """Time the stages of blocks that keep each of `SHARES`, in rounds of all of them.

    Args:
        model: with an autoencoder and a prompt; not run in this process before, for the time of warming up.
        config: names and numbers of the run.
        size: width and height to process at, in pixels.
        host: the plugins.
        repeats: rounds.
        done: called after each of `block_count` blocks.
    """
    config, growing = measured_config(config), growing_blocks(model, config)
    names = [str(share) for share in SHARES]

    def run(shares: Sequence[float]) -> list[DoneBlock]:
        return scene(model, config, shares, size, host, done)

    warm = run([1.0] * growing + [SHARES[len(SHARES) // 2]])
    samples: list[Sample] = []
    firsts: list[DoneBlock] = []
    others: list[DoneBlock] = []
    empty: list[DoneBlock] = []
    for index, order in enumerate(rounds(names, repeats)):
        before = [GROWING_SHARES[(index + i) % len(GROWING_SHARES)] for i in range(growing)]
        asked = [*before, *map(float, order), 0.0]
        first, *rest = run(asked)
        firsts.append(first)
        others += rest
        empty.append(rest[-1])
        samples.append(_sample(1.0, first, steady=False))
        samples += [
            _sample(share, block, steady=place >= growing)
            for place, (share, block) in enumerate(zip(asked, rest))
            if block.layout.kept_count
        ]
    return StageTimes(
        tokens=firsts[0].layout.token_count,
        samples=tuple(samples),
        encode_first=median(block.encode[0] for block in firsts),
        encode=median(seconds for block in others for seconds in block.encode),
        decode_first=median(block.decode for block in firsts),
        mask=median(block.mask for block in others),
        nothing_kept=median(block.rest for block in empty),
        warm_first=warm[0].seconds,
        later_first=median(block.seconds for block in firsts),
    )


def block_count(model: Model, config: Config, repeats: int) -> int:
    """How many blocks `measure_stages` runs."""
    growing = growing_blocks(model, config)
    return (2 + growing) + repeats * (2 + growing + len(SHARES))


def _sample(share: float, block: DoneBlock, *, steady: bool) -> Sample:
    return Sample(
        share=share,
        kept=block.layout.kept_count,
        rows=block.context_rows,
        steady=steady,
        denoise=block.denoise,
        clean=block.clean,
        rest=block.rest,
        decode=block.decode,
    )
