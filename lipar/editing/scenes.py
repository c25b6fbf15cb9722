"""A clip in pieces that begin at scene cuts: encoded once, computed in any order, decoded and written once.

    frames -> encode -> latents, cut at scene cuts      `source_pieces`   in the order of the clip
    latents of a piece -> restored blocks               `edit_piece`      each by itself
    restored blocks -> decode -> frames                 `edit_video(..., blocks=)`   in the order of the clip

Encoders and decoders carry their state over a scene cut, the denoising in between does not: there a scheduler forgets
masks, keys and values, donors and positions. What it does not forget is given to each piece: the index of its first
frame, by which Gaussian values are drawn and blocks are aligned, and where in its first block the scene begins.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import attrs
import torch
from torch import Tensor

from lipar.config import Config
from lipar.editing.encoder import BlockEncoder
from lipar.editing.preview import frames_of
from lipar.editing.source import check_resolution
from lipar.events import EditOptions
from lipar.job import RestoredBlock
from lipar.masks.scene import SceneBegin, mark_scenes
from lipar.masks.source import source_blocks
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_parts
from lipar.protocols import Model
from lipar.scheduler import Scheduler
from lipar.spec import NO_AUTOENCODER
from lipar.types import Latents, shaped
from lipar.watch.stages import StageTimer


@attrs.frozen(eq=False, kw_only=True)
class SourcePieceOfClip:
    """The latents of one or several scenes, in whole blocks."""

    begin: SceneBegin
    latents: Tensor = attrs.field(validator=shaped(Latents))


@attrs.frozen(eq=False, kw_only=True)
class EditedPiece:
    """What a piece became."""

    blocks: tuple[RestoredBlock, ...]
    stage_seconds: dict[str, float]
    seconds: float


def why_whole(host: PluginHost, config: Config, options: EditOptions) -> str | None:
    """Why a clip cannot be computed in pieces with the same result; None: it can.

    Args:
        host: the plugins.
        config: names and numbers of the run.
        options: of the edit.
    """
    if not config.prune.scene_cuts:
        return "prune.scene_cuts is off, so that the clip is one scene"
    if options.later_prompts:
        return "its prompt changes, and what a new prompt does depends on the block before it"
    if config.prune.keep is not None and not options.dense:
        return "prune.keep is reached by feedback that goes on from scene to scene"
    if options.mask is not None:
        return "its mask is read with its frames"
    if "pixels" in make_parts(host, config).criterion.needs and not options.dense:
        return f"criterion {config.criterion.name!r} reads pixel frames, and pieces have latents"
    return None


def source_pieces(model: Model, options: EditOptions) -> Iterator[SourcePieceOfClip]:
    """Read and encode a clip; gives the latents of each scene as soon as its last frame was read.

    Args:
        model: loaded, with an autoencoder.
        options: of the edit.

    Raises:
        VideoError: the input cannot be read.
        ValueError: the resolution does not fit the model.
    """
    autoencoder = model.autoencoder
    if autoencoder is None:
        raise ValueError(NO_AUTOENCODER)
    with ExitStack() as stack, torch.no_grad():
        source = frames_of(options, model, autoencoder, stack)
        check_resolution(source.size, model, autoencoder)
        encoder = BlockEncoder(source.frames, model, autoencoder)
        held: list[Latents] = []
        begin = SceneBegin()
        for block in mark_scenes(source_blocks(encoder, model.block_frames), model.patch_size):
            if block.cut is not None:
                if held:
                    yield SourcePieceOfClip(begin=begin, latents=torch.cat(held, dim=1))
                held, begin = [], SceneBegin(first_frame=block.first_frame, cut=block.cut)
            held.append(block.latents)
        if held:
            yield SourcePieceOfClip(begin=begin, latents=torch.cat(held, dim=1))


def edit_piece(
    model: Model, config: Config, options: EditOptions, piece: SourcePieceOfClip, *, host: PluginHost
) -> EditedPiece:
    """Compute the blocks of a piece, as a run of the whole clip does.

    Args:
        model: loaded.
        config: names and numbers of the run.
        options: of the edit.
        piece: its latents, on any device.
        host: the plugins; a stage timer is added for the run.

    Raises:
        ModelOutputError: the model returned NaN.
        AnswerError: a part or a hook of a plugin returned what cannot be used.
    """
    start = time.perf_counter()
    timer = StageTimer(device=model.device)
    with host.extended(timer), torch.no_grad():
        model.set_prompt(options.prompt)
        scheduler = Scheduler(model, config, host=host, dense=options.dense)
        source = piece.latents.to(model.device)
        blocks = tuple(scheduler.run(source.split(model.block_frames, dim=1), begin=piece.begin))
    return EditedPiece(blocks=blocks, stage_seconds=timer.seconds, seconds=time.perf_counter() - start)
