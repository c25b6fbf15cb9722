"""The pictures that scenes are composed of: made once and then indexed, so that scenes are cheap to draw."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lipar_adapters.tiny.clips.photos import load_pack
from lipar_adapters.tiny.clips.textures import shape_sprites, texture
from lipar_adapters.tiny.vocabulary import COLOURS, SCENES, SHAPES

# Each photograph is in the pack as a group of crops; a group is either for training or held out for evaluation.
CROPS_EACH = 6
HOLD_BACK_EVERY = 13


@dataclass(frozen=True)
class Library:
    """Canvases and sprites (RGBA) as bytes on a device, with their words.

    Shapes come in pairs at even and odd places: one shape in two colours.
    """

    canvases: UInt8[Tensor, "canvases 3 size size"]
    canvas_words: list[str]
    sprites: UInt8[Tensor, "sprites 4 small small"]
    sprite_words: list[tuple[str, str]]
    shapes: int

    @property
    def device(self) -> torch.device:
        """Where the pictures are, and so where clips are rendered."""
        return self.canvases.device


def as_bytes(picture: Tensor) -> Tensor:
    """A picture in [0, 1] as bytes."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def chosen(count: int, group: int, held_back: bool) -> list[int]:
    """Indices of the pictures for training, or of those held out."""
    return [i for i in range(count) if ((i // group) % HOLD_BACK_EVERY == HOLD_BACK_EVERY - 1) == held_back]


def build_library(
    device: torch.device | str = "cpu",
    pack: Path | None = None,
    textures: int = 256,
    shapes: int = 512,
    held_back: bool = False,
    seed: int = 0,
) -> Library:
    """Draw the textures and shapes of a seed, and add what a pack of photographs holds."""
    rng = np.random.default_rng([seed, int(held_back), 7])
    scene_words = [str(rng.choice(SCENES)) for _ in range(textures)]
    canvases = [as_bytes(texture(word, rng, device)) for word in scene_words]
    sprites, sprite_words = [], []
    for _ in range(shapes):
        shape = str(rng.choice(SHAPES))
        pair = [str(name) for name in rng.choice(list(COLOURS), 2, replace=False)]
        sprites += list(as_bytes(shape_sprites(shape, pair, rng, device)))
        sprite_words += [(name, shape) for name in pair]
    photos, stamps, stamp_words = load_pack(pack)
    if photos is not None and stamps is not None:
        photo_places = chosen(len(photos), CROPS_EACH, held_back)
        stamp_places = chosen(len(stamps), 1, held_back)
        canvases += list(photos[photo_places].to(device))
        scene_words += ["landscape"] * len(photo_places)
        sprites += list(stamps[stamp_places].to(device))
        sprite_words += [("", stamp_words[i]) for i in stamp_places]
    return Library(torch.stack(canvases), scene_words, torch.stack(sprites), sprite_words, 2 * shapes)
