"""Encoded clips to train the transformer on: each scene's source latents, and its edits with their captions."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lipar_adapters.tiny.autoencoder import TEMPORAL_STRIDE, TinyVideoAutoencoder, hold_first_frame
from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.clips.looks import LOOKS, MODIFIERS, apply_look
from lipar_adapters.tiny.clips.scenes import PixelFrames, add_sensor_noise, make_scenes, render
from lipar_adapters.tiny.recipe.captions import caption
from lipar_adapters.tiny.recipe.training import seeded
from lipar_adapters.tiny.text import tokenize


@dataclass(frozen=True)
class Grid:
    """Tokens per latent frame, and latent frames of a clip; a token is 16x16 pixels."""

    rows: int
    columns: int
    frames: int = 9

    @property
    def zoom(self) -> tuple[float, float]:
        """Small views see small parts of a canvas, so that pixels are equally sharp in all sizes."""
        side = max(self.rows, self.columns) * 16 / 384
        return (min(0.6, max(0.15, 0.75 * side)), min(0.97, max(0.2, 1.45 * side)))


@dataclass(frozen=True)
class Chunk:
    """Clips of one grid: sources (where they are wanted), `edits` targets of each, and the targets' token numbers."""

    grid: Grid
    source: Float[Tensor, "clips t c h w"] | None
    target: Float[Tensor, "clips edits t c h w"]
    token_ids: Int[Tensor, "clips edits n"]


HARD_LOOKS = ("pencil sketch", "oil painting", "cartoon", "comic", "neon", "autumn", "negative")
"""What small models learn last: looks of line and of flat paint, and those that turn colours about."""


def draw_edit(rng: np.random.Generator) -> tuple[str, str | None, bool]:
    """Look, modifier and whether the main object changes its colour."""
    way = rng.random()
    modifier = str(rng.choice(list(MODIFIERS)))
    if way < 0.10:
        return "photo", None, False
    if way < 0.22:
        return "photo", None, True
    if way < 0.28:
        return "photo", modifier, False
    return (
        str(rng.choice([*(look for look in LOOKS if look != "photo"), *HARD_LOOKS])),
        modifier if rng.random() < 0.2 else None,
        rng.random() < 0.1,
    )


def draw_look(rng: np.random.Generator) -> tuple[str, str | None, bool]:
    """As `draw_edit`, for clips without a source: a plain look in 60 % of cases, and no change of colour."""
    modifier = str(rng.choice(list(MODIFIERS)))
    look = "photo" if rng.random() < 0.6 else str(rng.choice([look for look in LOOKS if look != "photo"]))
    return look, modifier if rng.random() < 0.15 else None, False


@torch.no_grad()
def encode(vae: TinyVideoAutoencoder, clips: PixelFrames) -> Float[Tensor, "clips t c h w"]:
    """Latents of clips in [0, 1]; half precision on a GPU."""
    with torch.autocast(clips.device.type, torch.bfloat16, enabled=clips.device.type == "cuda"):
        return vae.encode(clips)[0].to(torch.float16 if clips.device.type == "cuda" else torch.float32)


@torch.no_grad()
def make_chunk(
    seed: int,
    grid: Grid,
    vae: TinyVideoAutoencoder,
    library: Library,
    tokenizer: Any,
    scenes_count: int,
    edits: int,
    together: int = 4,
    first_frame_alone: bool = False,
) -> Chunk:
    """Render, style and encode clips of one seed; the same seed and library give the same chunk.

    Args:
        seed: decides the scenes and their edits.
        grid: size of the clips in tokens and latent frames.
        vae: encodes them.
        library: pictures that scenes are composed of.
        tokenizer: for the captions.
        scenes_count: number of scenes.
        edits: versions of each scene, each with a caption.
        together: scenes that are styled at a time, since one filter serves many frames.
        first_frame_alone: clips of 1 + 4n pixel frames for image-to-video, in looks of their own and without sources.
    """
    rng = np.random.default_rng([seed, 5])
    pixel_frames = grid.frames * TEMPORAL_STRIDE - (TEMPORAL_STRIDE - 1) * first_frame_alone
    draw = draw_look if first_frame_alone else draw_edit
    scenes = make_scenes(seed, scenes_count, pixel_frames, library, grid.zoom)
    sources, targets, captions = [], [], []
    for first in range(0, scenes_count, together):
        some = scenes[first : first + together]
        clean = render(some, library, grid.rows * 16, grid.columns * 16)
        if not first_frame_alone:
            generator = seeded(library.device, seed, first)
            sources.append(encode(vae, add_sensor_noise(clean, generator)))
        rendered = {False: clean}
        edited, said = [], []
        for _ in range(edits):
            look, modifier, change = draw(rng)
            if change not in rendered:
                rendered[change] = render(some, library, grid.rows * 16, grid.columns * 16, recoloured=True)
            pixels = apply_look(rendered[change].flatten(0, 1), look, modifier).unflatten(0, clean.shape[:2])
            edited.append(encode(vae, hold_first_frame(pixels) if first_frame_alone else pixels))
            for scene in some:
                content = str(rng.choice(scene.changed)) if change and scene.changed else scene.content
                said.append(caption(rng, look, modifier, content, bool(change and scene.changed)))
        targets.append(torch.stack(edited, 1))
        captions += [said[edit * len(some) + place] for place in range(len(some)) for edit in range(edits)]
    token_ids = tokenize(tokenizer, captions).unflatten(0, (scenes_count, edits)).to(library.device)
    return Chunk(grid, torch.cat(sources) if sources else None, torch.cat(targets), token_ids)


@dataclass
class LatentPool:
    """The latest chunks, from which batches are drawn; a chunk can be made again from its name (seed, grid)."""

    vae: TinyVideoAutoencoder
    library: Library
    tokenizer: Any
    scenes_each: int = 32
    edits: int = 5
    capacity: int = 16
    first_frame_alone: bool = False
    names: deque[tuple[int, Grid]] = field(default_factory=deque)
    chunks: deque[Chunk] = field(default_factory=deque)

    def add(self, seed: int, grid: Grid) -> None:
        """Make a chunk; the oldest one leaves where the pool is full."""
        self.names.append((seed, grid))
        self.chunks.append(
            make_chunk(
                seed, grid, self.vae, self.library, self.tokenizer, self.scenes_each, self.edits,
                first_frame_alone=self.first_frame_alone,
            )
        )  # fmt: skip
        while len(self.names) > self.capacity:
            self.names.popleft()
            self.chunks.popleft()

    def refill(self, newest: int, grid_for: Callable[[int], Grid]) -> None:
        """Make chunks up to the number `newest`; the first call makes that one alone."""
        while not self.chunks or self.names[-1][0] < newest:
            number = self.names[-1][0] + 1 if self.names else newest
            self.add(number, grid_for(number))

    def contents(self) -> list[list[int]]:
        """What a checkpoint keeps of the pool: number and grid of each chunk."""
        return [[name, grid.rows, grid.columns, grid.frames] for name, grid in self.names]

    def restore(self, contents: list[list[int]]) -> None:
        """Make the chunks of a checkpoint again."""
        for name, *grid in contents:
            self.add(name, Grid(*grid))

    def draw(self, rng: np.random.Generator, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """Source and target latents and token numbers of about `tokens` tokens' worth of clips of one grid.

        Without sources the targets stand in their place.
        """
        grid = self.chunks[int(rng.integers(len(self.chunks)))].grid
        alike = [chunk for chunk in self.chunks if chunk.grid == grid]
        per_clip = grid.rows * grid.columns * grid.frames
        batch = max(1, tokens // per_clip)
        picks = np.sort(rng.integers(len(alike), size=batch))
        parts = []
        for index, chunk in enumerate(alike):
            count = int((picks == index).sum())
            clip = torch.from_numpy(rng.integers(len(chunk.target), size=count)).to(chunk.target.device)
            edit = torch.from_numpy(rng.integers(self.edits, size=count)).to(chunk.target.device)
            target = chunk.target[clip, edit]
            source = target if chunk.source is None else chunk.source[clip]
            parts.append((source, target, chunk.token_ids[clip, edit]))
        source, target, token_ids = (torch.cat(column) for column in zip(*parts, strict=True))
        return source.float(), target.float(), token_ids
