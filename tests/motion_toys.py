"""Runs of Time-to-Move on toy pipelines that tests share: a motion video, a mask, and a call."""

import torch
from PIL import Image
from wan_toys import toy_prompt

from lipar_adapters.time_to_move import encode_motion, time_to_move

HEIGHT, WIDTH, FRAMES = 32, 48, 9


def motion(frames=FRAMES, height=HEIGHT, width=WIDTH):
    """A motion video of random pixels in [0, 1]."""
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(0))


def left_half(frames=FRAMES, height=HEIGHT, width=WIDTH):
    """A mask that is white in its left half."""
    mask = torch.zeros(frames, 3, height, width, dtype=torch.uint8)
    mask[..., : width // 2] = 255
    return mask


def signal(pipe, mask=None, **options):
    """Motion video and mask, encoded by a pipeline."""
    mask = left_half() if mask is None else mask
    return encode_motion(pipe, motion(), mask, height=HEIGHT, width=WIDTH, **options)


def first_frame():
    """A picture of one colour."""
    return Image.new("RGB", (WIDTH, HEIGHT), (200, 100, 50))


def run(pipe, driven=None, **options):
    """The latents of a clip of 8 steps, of which 2 are skipped and 3 are held inside the mask."""
    defaults = {
        "num_inference_steps": 8,
        "tweak_index": 2,
        "tstrong_index": 5,
        "generator": torch.Generator().manual_seed(0),
        "output_type": "latent",
    }
    given = {**defaults, **toy_prompt(), **options}
    return time_to_move(pipe, first_frame(), driven or signal(pipe), **given).frames
