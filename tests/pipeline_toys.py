"""Calls of tiny stock pipelines that tests share: a clip, options, a layout, and what must hold afterwards."""

from typing import Any

import torch
from PIL import Image
from wan_toys import object_graph, toy_prompt

from lipar import TokenLayout
from lipar.layout import patchify
from lipar.testing.closeness import assert_near

KINDS = ("t2v", "t2v-a14b", "t2v-5b", "i2v-a14b", "i2v-5b", "v2v")
GRID = (3, 2, 3)
FRAMES, HEIGHT, WIDTH = 9, 32, 48


def clip(frames: int = FRAMES, seed: int = 0) -> torch.Tensor:
    """A still picture with a moving bright square in its upper half."""
    still = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    video = still.repeat(frames, 1, 1, 1)
    for index in range(frames):
        video[index, :, 2:14, 3 * index : 3 * index + 12] = 1.0
    return video


def options(kind: str, **changes: Any) -> dict[str, Any]:
    """Arguments of a call of a toy pipeline of this kind."""
    given = {
        **toy_prompt(rows=512 if kind.startswith("i2v") else 8),
        "height": HEIGHT,
        "width": WIDTH,
        "num_inference_steps": 6,
        "guidance_scale": 3.0,
        "output_type": "latent",
        "generator": torch.Generator().manual_seed(0),
    }
    if kind == "v2v":
        given |= {"video": clip(), "strength": 0.7}
    else:
        given["num_frames"] = FRAMES
    if kind.startswith("i2v"):
        given["image"] = Image.new("RGB", (WIDTH, HEIGHT), (90, 60, 30))
    return given | changes


def run(pipe: Any, kind: str, **changes: Any) -> torch.Tensor:
    """The latents that a call of a toy pipeline ends with."""
    frames: torch.Tensor = pipe(**options(kind, **changes)).frames
    return frames


def some_layout(seed: int = 0) -> TokenLayout:
    """A random layout with a first frame that is kept in full."""
    keep_mask = torch.rand(GRID, generator=torch.Generator().manual_seed(seed)) < 0.5
    keep_mask[0] = True
    return TokenLayout(keep_mask, has_history=False)


def tokens(latents: torch.Tensor) -> torch.Tensor:
    """Latents of a pipeline, channels first, as tokens."""
    return patchify(latents.transpose(1, 2), 2)


def assert_restored(end: torch.Tensor, layout: TokenLayout) -> None:
    """Every pruned token of the clip has ended where the token that it repeats has."""
    assert_near(end, layout.fill(None, layout.prune(end)), 1e-5)


def graph(pipe: Any) -> dict[str, Any]:
    """What hangs on a pipeline and on its experts."""
    found: dict[str, Any] = {key: id(value) for key, value in vars(pipe).items()}
    found |= {f"scheduler.{key}": None for key in vars(pipe.scheduler)}
    for name in ("transformer", "transformer_2"):
        expert = getattr(pipe, name, None)
        if expert is not None:
            found |= {f"{name}.{key}": value for key, value in object_graph(expert).items()}
    return found
