"""One video in every form that users have it in, for tests of what is read."""

import numpy as np
import torch
from PIL import Image


def shades(frames=5, height=8, width=9, seed=0):
    """Random colours, uint8 `frames 3 height width`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, 3, height, width), dtype=torch.uint8, generator=generator)


def pictures(video, mode="RGB"):
    return [Image.fromarray(frame.permute(1, 2, 0).numpy()).convert(mode) for frame in video]


def last(video):
    return video.permute(0, 2, 3, 1).contiguous()


def unit(video):
    return video / 255


def read_only(array):
    array.flags.writeable = False
    return array


FORMS = {
    "uint8 tensor": lambda v: v,
    "float tensor": unit,
    "float64 tensor": lambda v: v.double() / 255,
    "tensor with an axis of one video": lambda v: unit(v)[None],
    "tensor with its channels last": last,
    "tensor that is no memory of its own": lambda v: (
        unit(v).flip(-1).flip(-1).transpose(-1, -2).transpose(-1, -2)
    ),
    "tensor with a gradient": lambda v: unit(v).requires_grad_(),
    "array": lambda v: last(v).numpy(),
    "float array": lambda v: last(unit(v)).numpy(),
    "float64 array": lambda v: last(v).numpy() / 255.0,
    "array with its channels first": lambda v: v.numpy(),
    "array with an axis of one video": lambda v: last(v).numpy()[None],
    "array read backwards": lambda v: last(v.flip(0)).numpy()[::-1],
    "array of another byte order": lambda v: last(unit(v)).numpy().astype(">f4"),
    "array that may not be written": lambda v: read_only(last(v).numpy()),
    "opaque RGBA array": lambda v: np.concatenate([last(v).numpy(), np.full_like(last(v)[..., :1], 255)], -1),
    "opaque RGBA tensor": lambda v: torch.cat([unit(v), torch.ones_like(unit(v)[:, :1])], 1),
    "pictures": pictures,
    "tuple of pictures": lambda v: tuple(pictures(v)),
    "opaque RGBA pictures": lambda v: pictures(v, "RGBA"),
    "pictures of one video in a list": lambda v: [pictures(v)],
    "arrays": lambda v: list(last(v).numpy()),
    "tensors": lambda v: list(unit(v)),
    "tensors with their channels last": lambda v: list(last(v)),
    "one array of all frames in a list": lambda v: [last(v).numpy()],
    "pictures, arrays and tensors": lambda v: [*pictures(v[:1]), *last(v[1:2]).numpy(), *unit(v[2:])],
}


GREY = {
    "pictures": lambda v: pictures(v, "L"),
    "pictures with alpha": lambda v: [picture.convert("LA") for picture in pictures(v, "L")],
    "flat arrays": lambda v: [frame[0].numpy() for frame in v],
    "flat tensors": lambda v: [frame[0] for frame in v],
    "array": lambda v: last(v).numpy()[..., :1],
    "tensor": lambda v: v[:, :1],
}
