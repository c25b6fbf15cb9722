"""LPIPS (Zhang et al. 2018, arXiv 1801.03924) with AlexNet, version 0.1 of the published linear heads.

Nothing is downloaded: the weights are read from two files. The network is written out here, as torchvision is not
needed for five convolutions.
"""

from pathlib import Path
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar.metrics.packages import load
from lipar.metrics.pieces import OtherClip, check_smallest, mean_over_frames
from lipar.metrics.stillness import PixelClip

SMALLEST = 31
"""Shortest side, in pixels, of which AlexNet's last pooling leaves something."""


@attrs.frozen(kw_only=True)
class Convolution:
    """One convolution of AlexNet; ReLU follows, and LPIPS compares what comes out of that."""

    index: int
    """Place in torchvision's `alexnet().features`."""
    shape: tuple[int, int, int, int]
    """Channels out and in, rows and columns of the kernel."""
    stride: int = 1
    padding: int = 1
    pooled: bool = False
    """Whether max pooling, 3 pixels with stride 2, comes before it."""


CONVOLUTIONS = (
    Convolution(index=0, shape=(64, 3, 11, 11), stride=4, padding=2),
    Convolution(index=3, shape=(192, 64, 5, 5), padding=2, pooled=True),
    Convolution(index=6, shape=(384, 192, 3, 3), pooled=True),
    Convolution(index=8, shape=(256, 384, 3, 3)),
    Convolution(index=10, shape=(256, 256, 3, 3)),
)
BACKBONE_SHAPES: dict[str, tuple[int, ...]] = {
    f"features.{one.index}.{kind}": one.shape if kind == "weight" else one.shape[:1]
    for one in CONVOLUTIONS
    for kind in ("weight", "bias")
}
HEAD_SHAPES: dict[str, tuple[int, ...]] = {
    f"lin{index}.model.1.weight": (1, one.shape[0], 1, 1) for index, one in enumerate(CONVOLUTIONS)
}
# From [-1, 1] to the scale of ImageNet's normalised pictures.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


@attrs.frozen(eq=False, kw_only=True)
class Lpips:
    """The distance with its weights; see `Lpips.load`."""

    backbone: dict[str, Tensor]
    heads: dict[str, Tensor]

    @classmethod
    def load(cls, backbone: Path, heads: Path | None = None) -> "Lpips":
        """Read the weights.

        Args:
            backbone: state dict of torchvision's AlexNet trained on ImageNet (`alexnet-owt-7be5be79.pth`).
            heads: the linear heads that LPIPS publishes (`alex.pth`, version 0.1); None: the copy of that file in the
                package torchmetrics.

        Raises:
            FileNotFoundError: a file is missing.
            ModuleNotFoundError: no heads were given and torchmetrics is not installed.
            ValueError: a file holds other weights; the message names the first tensor that differs.
        """
        return cls(
            backbone=_read(backbone, BACKBONE_SHAPES, "the state dict of torchvision's AlexNet"),
            heads=_read(heads or published_heads(), HEAD_SHAPES, "the linear heads of LPIPS for AlexNet"),
        )

    def __call__(self, a: PixelClip, b: OtherClip) -> float:
        """Mean over frames of the distance; 0 where the two are equal, and below 1 in practice.

        Args:
            a: pixels in [0, 1].
            b: a clip of the same size.

        Raises:
            ValueError: the clips differ in size, or the pictures are too small.
        """
        check_smallest(a, SMALLEST, "LPIPS", "so that AlexNet's last pooling leaves a pixel")
        return mean_over_frames(self.per_frame, a, b)

    def per_frame(self, a: PixelClip, b: PixelClip) -> Float[Tensor, " pixel_frames"]:
        """Distance of each frame: sum over layers of the mean over places of w . (unit(A) - unit(B))^2, Eq. 1.

        Args:
            a: pixels in [0, 1].
            b: a clip of the same size.
        """
        total = torch.zeros(len(a), device=a.device)
        for index, (one, other) in enumerate(zip(self._features(a), self._features(b))):
            weights = self.heads[f"lin{index}.model.1.weight"].to(a.device)
            difference = (_unit(one) - _unit(other)).square()
            total += F.conv2d(difference, weights).mean((1, 2, 3))
        return total

    def _features(self, clip: PixelClip) -> list[Tensor]:
        shift, scale = (clip.new_tensor(values).float().view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        x = (2 * clip.float() - 1 - shift) / scale
        found = []
        for one in CONVOLUTIONS:
            x = F.max_pool2d(x, 3, 2) if one.pooled else x
            weight, bias = (
                self.backbone[f"features.{one.index}.{kind}"].to(x.device) for kind in ("weight", "bias")
            )
            x = F.relu(F.conv2d(x, weight, bias, one.stride, one.padding))
            found.append(x)
        return found


def published_heads() -> Path:
    """The file of the linear heads for AlexNet that the package torchmetrics holds.

    Raises:
        ModuleNotFoundError: torchmetrics is not installed.
    """
    package = load("torchmetrics", "LPIPS without a file of its linear heads")
    return Path(package.__path__[0]) / "functional" / "image" / "lpips_models" / "alex.pth"


def _unit(features: Tensor) -> Tensor:
    """Length 1 in the channels of each place; the small number is that of the published code."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _read(path: Path, shapes: dict[str, tuple[int, ...]], what: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"LPIPS needs {what}; there is no file {path}")
    try:
        # plain tensors only, so that a file cannot run code
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever an unpickler meets in a file of another kind
        raise ValueError(
            f"{path} should hold {what}, but cannot be read as plain tensors: {error}"
        ) from error
    if not isinstance(weights, dict):
        raise ValueError(f"{path} should hold {what}, as a dict; got a {type(weights).__name__}")
    for key, shape in shapes.items():
        if not isinstance(weights.get(key), Tensor):
            first = ", ".join(str(name) for name in list(weights)[:3]) or "nothing"
            raise ValueError(f"{path} should hold {what}, but has no tensor {key}; it has {first} ...")
        if tuple(weights[key].shape) != shape:
            came = list(weights[key].shape)
            raise ValueError(f"{key} of {path} must be {list(shape)} to be {what}; got {came}")
    return {key: weights[key].float() for key in shapes}
