"""Procedural clips with captions: still backgrounds, moving objects, cameras, all rendered in batches on one device.

Everything follows from a seed. A scene is a canvas seen by a camera, and sprites on it that move, turn, swell, wobble,
stop and hide one another. The same scene can be rendered with its main object in another colour, which makes exact
pairs for edits such as "a blue ball instead of a red one".
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.tiny.clips.library import Library

PixelFrames: TypeAlias = Float[Tensor, "b frames 3 height width"]
OBJECTS = 3


@dataclass
class Scene:
    """What one clip shows, before it is rendered: places in a library, paths, and the words for them."""

    canvas: int
    sprites: list[int]
    recoloured: int
    content: str
    changed: tuple[str, ...]
    camera: Float[np.ndarray, "frames 3"]
    tracks: list[Float[np.ndarray, "frames 7"]]
    light: Float[np.ndarray, " frames"]


def camera_path(rng: np.random.Generator, frames: int, zoom: tuple[float, float]) -> np.ndarray:
    """x, y of the view's centre and its half size, in half canvases: static 60 %, else panning, zooming or shaking."""
    time = np.linspace(0, 1, frames)
    size = rng.uniform(*zoom)
    room = 1 - size
    centre = rng.uniform(-room, room, 2)
    path = np.tile([centre[0], centre[1], size], (frames, 1))
    kind = rng.random()
    if kind > 0.82:
        drift = rng.uniform(-0.5, 0.5, 2) * min(1.0, frames / 36)
        path[:, :2] += (time[:, None] - rng.uniform()) * drift
    elif kind > 0.70:
        path[:, 2] *= 1 + (time - 0.5) * rng.uniform(-0.4, 0.4)
    elif kind > 0.60:
        phase, speed = rng.uniform(0, 6.28, 2), rng.uniform(4, 16, 2)
        path[:, :2] += 0.02 * np.sin(time[:, None] * speed + phase)
    path[:, 2] = path[:, 2].clip(0.05, 1)
    path[:, :2] = path[:, :2].clip(path[:, 2:] - 1, 1 - path[:, 2:])
    return path


def object_track(rng: np.random.Generator, frames: int, view: np.ndarray, pace: float = 1.0) -> np.ndarray:
    """x, y, half size, angle, wobble, wobble phase and opacity per frame, in half canvases."""
    time = np.linspace(0, pace * frames / 36, frames)
    # Objects may rest, start late or stop: scenes that are static for a part of their time.
    kind = rng.random()
    start, stop = (0.0, 9.0) if kind < 0.55 else (float(rng.uniform(0, 0.5)), float(rng.uniform(0.4, 1.0)))
    moved = time.clip(start, max(start, stop)) - start
    if kind > 0.85:
        moved = moved * 0
    size = view[0, 2]
    speed, heading = rng.uniform(0.3, 2.2) * size, rng.uniform(0, 2 * math.pi)
    offset = np.stack([np.cos(heading) * moved, np.sin(heading) * moved], 1) * speed
    if rng.random() < 0.4:
        swing, phase = rng.uniform(3, 12), rng.uniform(0, 6.28)
        offset += (
            rng.uniform(0.1, 0.4)
            * size
            * np.stack([np.cos(swing * moved + phase), np.sin(swing * moved + phase)], 1)
        )
    place = rng.uniform(-0.7, 0.7, 2) * size + view[:, :2].mean(0)
    middle = place + offset - offset[frames // 2]
    turn = rng.uniform(-5, 5) * (rng.random() < 0.5)
    scale = rng.uniform(0.15, 0.5) * size * (1 + rng.uniform(-0.3, 0.3) * np.sin(moved * rng.uniform(1, 6)))
    wobble = rng.uniform(0.03, 0.14) * (rng.random() < 0.4)
    columns = [
        middle[:, 0],
        middle[:, 1],
        scale,
        rng.uniform(-0.6, 0.6) + turn * moved,
        np.full(frames, wobble),
    ]
    visible = 1.0 if rng.random() < 0.75 else 0.0
    return np.stack([*columns, moved * rng.uniform(8, 20), np.full(frames, visible)], 1)


def make_scene(
    rng: np.random.Generator, library: Library, frames: int, zoom: tuple[float, float], fastest: float
) -> Scene:
    """Draw one scene: canvas, sprites, tracks and the words that say what is there."""
    canvas = int(rng.integers(len(library.canvas_words)))
    camera = camera_path(rng, frames, zoom)
    # nothing is drawn where no pace is asked for, so that a seed's clips stay what they were
    pace = float(fastest ** rng.uniform()) if fastest > 1 else 1.0
    tracks = [object_track(rng, frames, camera, pace) for _ in range(OBJECTS)]
    tracks[-1][:, -1] = 1.0
    stamps = len(library.sprite_words) - library.shapes
    picks = [
        library.shapes + int(rng.integers(stamps))
        if stamps and rng.random() < 0.55
        else int(rng.integers(library.shapes))
        for _ in range(OBJECTS)
    ]
    main = picks[-1]
    no_change: tuple[str, ...] = ()
    nouns = [library.sprite_words[pick] for pick in picks]
    recoloured, changed = main, no_change
    if main < library.shapes:
        recoloured = main ^ 1
        (before, shape), (after, _) = library.sprite_words[main], library.sprite_words[recoloured]
        changed = (f"a {after} {shape} instead of a {before} one", f"a {after} {shape}")
    seen = [
        " ".join(filter(None, ("a", *noun)))
        for noun, track in zip(nouns, tracks, strict=True)
        if track[0, -1] > 0
    ]
    picked = seen[-int(rng.integers(1, len(seen) + 1)) :]
    content = " and ".join(reversed(picked)) + (
        f" on {library.canvas_words[canvas]}" if rng.random() < 0.5 else ""
    )
    light = 1 + (rng.random() < 0.15) * rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, frames)
    return Scene(canvas, picks, recoloured, content, changed, camera, tracks, light)


def affine_steps(
    values: list[np.ndarray], device: torch.device | str
) -> Float[Tensor, "b frames parameters"]:
    """Paths of several scenes as one float32 tensor on a device."""
    return torch.from_numpy(np.stack(values)).to(device, torch.float32)


def render(
    scenes: list[Scene], library: Library, height: int, width: int, recoloured: bool = False
) -> PixelFrames:
    """Frames in [0, 1] without noise; with `recoloured`, the main object in its other colour."""
    device = library.device
    camera = affine_steps([scene.camera for scene in scenes], device)
    frames = camera.shape[1]
    longest = max(height, width)
    y = (torch.arange(height, device=device) + 0.5) * 2 / longest - height / longest
    x = (torch.arange(width, device=device) + 0.5) * 2 / longest - width / longest
    at_x = camera[..., 0, None, None] + camera[..., 2, None, None] * x[None, None, None, :]
    at_y = camera[..., 1, None, None] + camera[..., 2, None, None] * y[None, None, :, None]
    at_x, at_y = at_x.expand(-1, -1, height, -1), at_y.expand(-1, -1, -1, width)
    canvas = library.canvases[[scene.canvas for scene in scenes]].float() / 255
    # One canvas per scene: frames are stacked along height, so that the canvas is not repeated per frame.
    grid = torch.stack([at_x, at_y], -1).flatten(1, 2)
    view = F.grid_sample(canvas, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    view = view.unflatten(2, (frames, height))
    for index in range(OBJECTS):
        main = index == OBJECTS - 1
        places = [s.recoloured if main and recoloured else s.sprites[index] for s in scenes]
        sprite = library.sprites[places].float() / 255
        track = affine_steps([scene.tracks[index] for scene in scenes], device)[..., None, None]
        px, py, scale, angle, wobble, phase, opacity = track.unbind(2)
        dx, dy = (at_x - px) / scale, (at_y - py) / scale
        u = angle.cos() * dx + angle.sin() * dy
        v = angle.cos() * dy - angle.sin() * dx
        u = u + wobble * (3 * v + phase).sin()
        shown = F.grid_sample(
            sprite, torch.stack([u, v], -1).flatten(1, 2), mode="bilinear", align_corners=False
        )
        shown = shown.unflatten(2, (frames, height))
        alpha = shown[:, 3:] * opacity[:, None]
        view = view * (1 - alpha) + shown[:, :3] * alpha
    light = affine_steps([scene.light[:, None] for scene in scenes], device)
    return (view.transpose(1, 2) * light[..., None, None]).clamp(0, 1)


def make_scenes(
    seed: int,
    count: int,
    frames: int,
    library: Library,
    zoom: tuple[float, float] = (0.55, 0.95),
    fastest: float = 1.0,
) -> list[Scene]:
    """Scenes of one seed; the same seed and library give the same scenes.

    Args:
        seed: decides everything.
        count: number of scenes.
        frames: pixel frames of each.
        library: pictures that they are composed of.
        zoom: bounds of the view's size, as a part of the canvas.
        fastest: objects move up to so many times as fast, by a factor drawn for each scene.
    """
    rng = np.random.default_rng(seed)
    return [make_scene(rng, library, frames, zoom, fastest) for _ in range(count)]


def add_sensor_noise(
    pixel_frames: PixelFrames, generator: torch.Generator, most: float = 0.02
) -> PixelFrames:
    """White noise of a strength drawn per clip, up to `most` (of 1), as cameras add it."""
    strength = (
        torch.rand(len(pixel_frames), 1, 1, 1, 1, generator=generator, device=pixel_frames.device) * most
    )
    noise = torch.randn(pixel_frames.shape, generator=generator, device=pixel_frames.device)
    return (pixel_frames + strength * noise).clamp(0, 1)
