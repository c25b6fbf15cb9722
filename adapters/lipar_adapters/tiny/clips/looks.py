"""Looks: deterministic picture filters, batched over frames, that make the target of an edit.

Each takes and returns frames in [0, 1] and treats every frame alike, so that a look is as steady in time as its source.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Frames: TypeAlias = Float[Tensor, "frames 3 height width"]
Plane: TypeAlias = Float[Tensor, "frames 1 height width"]
Look: TypeAlias = Callable[[Tensor], Tensor]


def luma(frames: Frames) -> Plane:
    """Rec. 601 luma of RGB frames."""
    return frames[:, :1] * 0.299 + frames[:, 1:2] * 0.587 + frames[:, 2:] * 0.114


def colour(frames: Tensor, red: float, green: float, blue: float) -> Tensor:
    """One colour, shaped to broadcast with frames."""
    return torch.tensor([red, green, blue], device=frames.device, dtype=frames.dtype).view(1, 3, 1, 1)


def box_blur(
    planes: Float[Tensor, "frames channels height width"], radius: int
) -> Float[Tensor, "frames channels height width"]:
    """Mean over squares of `2 radius + 1` pixels; borders are repeated."""
    padded = F.pad(planes, (radius,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * radius + 1, 1)


def blur(
    planes: Float[Tensor, "frames channels height width"], radius: int
) -> Float[Tensor, "frames channels height width"]:
    """Two boxes, near enough to a Gaussian."""
    return box_blur(box_blur(planes, radius), radius)


def edges(frames: Frames) -> Plane:
    """Magnitude of the luma's Sobel gradient, about 0..1."""
    plane = F.pad(luma(frames), (1, 1, 1, 1), mode="replicate")
    kernel = (
        torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=frames.device, dtype=frames.dtype) / 2
    )
    gradient = F.conv2d(plane, torch.stack([kernel, kernel.T])[:, None])
    return gradient.square().sum(1, keepdim=True).add(1e-6).sqrt()


def saturate(frames: Frames, amount: float) -> Frames:
    """Scale the distance of each colour from its grey; 1 changes nothing, 0 gives grey."""
    grey = luma(frames)
    return (grey + (frames - grey) * amount).clamp(0, 1)


def posterise(frames: Frames, levels: int) -> Frames:
    """Few levels per channel, with soft steps: hard ones would turn a little sensor noise into flicker."""
    scaled = frames * (levels - 1)
    below = scaled.floor()
    step = ((scaled - below - 0.5) * 2.5 + 0.5).clamp(0, 1)
    return (below + step * step * (3 - 2 * step)) / (levels - 1)


def ramp(frames: Frames) -> Plane:
    """0 at the top of the picture, 1 at its foot."""
    height = frames.shape[-2]
    return (
        torch.linspace(0, 1, height, device=frames.device, dtype=frames.dtype)
        .view(1, 1, height, 1)
        .expand(len(frames), 1, -1, frames.shape[-1])
    )


def kuwahara(frames: Frames, radius: int) -> Frames:
    """Edge-preserving smoothing: each pixel takes the mean of its least varied quadrant (Kuwahara et al. 1976)."""
    height, width = frames.shape[-2:]
    grey = luma(frames)
    moments = F.avg_pool2d(
        F.pad(torch.cat([frames, grey, grey * grey], 1), (radius,) * 4, mode="replicate"), radius + 1, 1
    )
    corners = [moments[..., y : y + height, x : x + width] for y in (0, radius) for x in (0, radius)]
    variance = torch.stack([m[:, 4:5] - m[:, 3:4] ** 2 for m in corners])
    # A soft choice: the hard one flickers where two quadrants are alike.
    weight = (-(variance + 1e-5).log() * 3).softmax(0)
    return sum(w * m[:, :3] for w, m in zip(weight, corners, strict=True))


def photo(frames: Frames) -> Frames:
    """The frames as they are."""
    return frames


def pencil_sketch(frames: Frames) -> Frames:
    """Grey lines on white: each pixel divided by its blurred surroundings."""
    grey = luma(frames)
    dodge = (grey + 0.02) / (blur(grey, 3) + 0.02)
    lines = dodge.clamp(0, 1) ** 3 * (1 - edges(frames) * 1.2).clamp(0, 1)
    return (lines * (0.80 + 0.18 * grey)).clamp(0, 1).expand(-1, 3, -1, -1).contiguous()


def oil_painting(frames: Frames) -> Frames:
    """Smooth areas with sharp borders, in strong colours."""
    return saturate(kuwahara(kuwahara(frames, 4), 3), 1.6)


def watercolour(frames: Frames) -> Frames:
    """Pale smooth areas with darker rims."""
    wash = saturate(kuwahara(frames, 4), 1.25)
    rim = (edges(wash) * 1.5).clamp(0, 0.35)
    return ((0.42 + 0.62 * wash) * (1 - rim)).clamp(0, 1)


def cartoon(frames: Frames) -> Frames:
    """Few flat colours with dark outlines."""
    flat = posterise(saturate(kuwahara(frames, 3), 1.5), 6)
    return flat * (1 - ((edges(blur(frames, 1)) - 0.18) * 4).clamp(0, 0.9))


def comic(frames: Frames) -> Frames:
    """Three levels per channel, strong contrast and thick outlines."""
    flat = saturate(posterise(((kuwahara(frames, 3) - 0.5) * 1.4 + 0.5).clamp(0, 1), 3), 1.8)
    ink = ((box_blur(edges(blur(frames, 1)), 1) - 0.1) * 6).clamp(0, 1)
    return flat * (1 - ink)


def night(frames: Frames) -> Frames:
    """Dark and blue."""
    dark = saturate(frames, 0.5) ** 1.5
    return (dark * colour(frames, 0.30, 0.38, 0.62) + colour(frames, 0.0, 0.01, 0.05)).clamp(0, 1)


def sunset(frames: Frames) -> Frames:
    """Warm light that turns from orange at the top to red at the bottom."""
    glow = colour(frames, 1.0, 0.45, 0.20) * (1 - ramp(frames)) + colour(frames, 0.75, 0.25, 0.40) * ramp(
        frames
    )
    return (0.72 * frames * (0.5 + glow) + 0.22 * glow).clamp(0, 1)


def snow(frames: Frames) -> Frames:
    """White where the picture is bright, pale and cold elsewhere."""
    grey = luma(frames)
    pale = saturate(frames, 0.35) * colour(frames, 0.93, 0.98, 1.06)
    cover = ((blur(grey, 1) - 0.30) * 2.2).clamp(0, 1) * 0.85
    return (pale * (1 - cover) + colour(frames, 0.94, 0.96, 1.0) * cover + 0.06).clamp(0, 1)


def neon(frames: Frames) -> Frames:
    """Glowing outlines from magenta to cyan over a dark picture."""
    line = (box_blur(edges(blur(frames, 1)), 1) * 3.2).clamp(0, 1)
    tint = saturate(0.35 + 0.65 * frames / (frames.amax(1, keepdim=True) + 0.05), 3.0)
    tint = 0.55 * tint + 0.45 * (
        colour(frames, 1.0, 0.1, 0.9) * (1 - ramp(frames)) + colour(frames, 0.1, 0.9, 1.0) * ramp(frames)
    )
    return (line * tint * 1.25 + 0.16 * frames * colour(frames, 0.5, 0.3, 0.9)).clamp(0, 1)


def sepia(frames: Frames) -> Frames:
    """Brown monochrome."""
    return (luma(frames) * colour(frames, 1.06, 0.86, 0.62) + colour(frames, 0.05, 0.03, 0.0)).clamp(0, 1)


def black_and_white(frames: Frames) -> Frames:
    """Grey with more contrast."""
    return ((luma(frames) - 0.5) * 1.25 + 0.5).clamp(0, 1).expand(-1, 3, -1, -1).contiguous()


def underwater(frames: Frames) -> Frames:
    """Blurred, blue-green, darker at the bottom."""
    depth = 1.05 - 0.5 * ramp(frames)
    return (
        (0.75 * blur(frames, 1) * colour(frames, 0.35, 0.85, 1.0) + colour(frames, 0.0, 0.16, 0.24)) * depth
    ).clamp(0, 1)


def thermal(frames: Frames) -> Frames:
    """False colours of the brightness, from blue through red to white."""
    heat = box_blur(luma(frames), 1)
    return torch.cat(
        [
            (heat * 2.2 - 0.25).clamp(0, 1),
            (heat * 2.4 - 1.2).clamp(0, 1),
            ((0.55 - heat).clamp(0, 1) * 2 + (heat - 0.85).clamp(0, 1) * 5).clamp(0, 1),
        ],
        1,
    )


def fog(frames: Frames) -> Frames:
    """Blurred and covered in grey, more at the top."""
    veil = 0.72 - 0.22 * ramp(frames)
    return saturate(blur(frames, 1), 0.5) * (1 - veil) + colour(frames, 0.80, 0.82, 0.85) * veil


def autumn(frames: Frames) -> Frames:
    """Green parts turn orange."""
    red, green, blue = frames.split(1, 1)
    leafy = ((green - torch.maximum(red, blue)) * 6 + 0.35).clamp(0, 1)
    turned = torch.cat([green * 1.15 + 0.1, green * 0.6, blue * 0.3], 1)
    return ((frames * (1 - leafy) + turned * leafy) * colour(frames, 1.15, 0.95, 0.72)).clamp(0, 1)


def pixel_art(frames: Frames) -> Frames:
    """Squares of 8 pixels in few colours."""
    small = posterise(saturate(F.avg_pool2d(frames, 8), 1.4), 5)
    return F.interpolate(small, scale_factor=8.0)


def negative(frames: Frames) -> Frames:
    """Inverted colours."""
    return 1 - frames


def vintage(frames: Frames) -> Frames:
    """Faded and yellowish."""
    faded = saturate(frames, 0.55) * 0.72 + 0.16
    return (faded * colour(frames, 1.10, 1.0, 0.78)).clamp(0, 1)


def blueprint(frames: Frames) -> Frames:
    """White outlines on blue."""
    line = (edges(blur(frames, 1)) * 2.6).clamp(0, 1)
    return colour(frames, 0.06, 0.20, 0.52) * (0.75 + 0.35 * luma(frames)) * (1 - line) + line * colour(
        frames, 0.9, 0.95, 1.0
    )


LOOKS: dict[str, Look] = {
    "photo": photo, "pencil sketch": pencil_sketch, "oil painting": oil_painting, "watercolour": watercolour,
    "cartoon": cartoon, "comic": comic, "night": night, "sunset": sunset, "snow": snow, "neon": neon, "sepia": sepia,
    "black and white": black_and_white, "underwater": underwater, "thermal": thermal, "fog": fog, "autumn": autumn,
    "pixel art": pixel_art, "negative": negative, "vintage": vintage, "blueprint": blueprint,
}  # fmt: skip

MODIFIERS: dict[str, Look] = {
    "warm colours": lambda frames: (frames * colour(frames, 1.18, 1.0, 0.74)).clamp(0, 1),
    "cool colours": lambda frames: (frames * colour(frames, 0.76, 0.98, 1.20)).clamp(0, 1),
    "bright": lambda frames: (frames * 1.05 + 0.16).clamp(0, 1),
    "dark": lambda frames: frames * 0.5,
    "vivid colours": lambda frames: saturate(frames, 1.9),
    "pastel colours": lambda frames: saturate(frames, 0.6) * 0.6 + 0.38,
    "high contrast": lambda frames: ((frames - 0.5) * 1.6 + 0.5).clamp(0, 1),
}


def apply_look(frames: Frames, look: str, modifier: str | None = None) -> Frames:
    """The frames with a look from `LOOKS`, and after it a modifier of colour or light from `MODIFIERS`."""
    styled = LOOKS[look](frames)
    return styled if modifier is None else MODIFIERS[modifier](styled)
