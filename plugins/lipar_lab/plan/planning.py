"""The blocks of a source as an edit will have them: scene cuts, masks and context, without a forward."""

from collections.abc import Callable, Iterable, Iterator

from lipar.config import Config
from lipar.editing.tally import shown_tokens
from lipar.job import PlannedBlock
from lipar.masks.source import SourceFormat, SourcePiece
from lipar.plugin.host import PluginHost
from lipar.protocols import Autoencoder, Model
from lipar.scheduler import Scheduler
from lipar.speedup import first_steady_block
from lipar.watch.stages import MASK, StageTimer, seconds_per_stage
from lipar_lab.plan.block_plan import BlockPlan


def plan_blocks(
    model: Model,
    autoencoder: Autoencoder,
    config: Config,
    pieces: Iterable[SourcePiece],
    pixel_frames: Callable[[], int],
    *,
    host: PluginHost,
) -> Iterator[BlockPlan]:
    """Yield the blocks of a run, in order.

    Args:
        model: gives blocks, cache and steps; no forward of it is called.
        autoencoder: the model's.
        config: names and numbers of the run.
        pieces: the source, encoded.
        pixel_frames: how many pixel frames of the source were read so far.
        host: the plugins, those that decide masks included.
    """
    timer = StageTimer(device=model.device)
    source = SourceFormat(patch_size=model.patch_size, autoencoder=autoencoder)
    with host.extended(timer):
        scheduler = Scheduler(model, config, host=host)
        cache = scheduler.job.cache
        steady = first_steady_block(cache.sink_frames, cache.window_frames, model.block_frames)
        in_scene = 0
        for index, planned in enumerate(scheduler.plan(pieces)):
            in_scene = in_scene + 1 if planned.layout.has_history else 0
            yield _numbers(
                index,
                planned,
                source,
                total=pixel_frames(),
                steady=in_scene >= steady,
                mask=seconds_per_stage(timer.take()).get(MASK, 0.0),
            )


def _numbers(
    index: int, planned: PlannedBlock, source: SourceFormat, *, total: int, steady: bool, mask: float
) -> BlockPlan:
    layout = planned.layout
    spans = source.frame_spans(planned.first_frame, layout.frames)
    start = spans[0][0]
    stop = min(spans[-1][1], total)
    shown_kept, shown = shown_tokens(layout, spans, stop - start)
    return BlockPlan(
        index=index,
        kept=layout.kept_count,
        tokens=layout.token_count,
        shown_kept=shown_kept,
        shown_tokens=shown,
        pixel_frames=(start, stop),
        context_frames=planned.context_frames,
        context_rows=planned.context_rows,
        has_history=layout.has_history,
        steady=steady,
        cut=planned.first_frame > 0 and not layout.has_history,
        mask=mask,
    )
