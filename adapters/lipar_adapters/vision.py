"""Features of a vision model in a local folder, for consistency figures; nothing is downloaded."""

import json
from pathlib import Path
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

FRAMES_AT_ONCE = 16
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@attrs.frozen(eq=False, kw_only=True)
class VisionFeature:
    """The vector that a model of transformers gives a picture; see `load_vision_feature`.

    What lies outside of the region is the model's mean colour in all frames.
    """

    name: str
    model: Any
    size: int
    """Side of the square that pictures are scaled to, in pixels."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(
        self, clip: Float[Tensor, "pixel_frames 3 height width"], region: Bool[Tensor, "height width"]
    ) -> Float[Tensor, "pixel_frames d"]:
        """One vector for each frame.

        Args:
            clip: pixels in [0, 1].
            region: True where pixels count.
        """
        mean, std = (clip.new_tensor(values).float().view(1, 3, 1, 1) for values in (self.mean, self.std))
        found = []
        with torch.inference_mode():
            for frames in clip.float().split(FRAMES_AT_ONCE):
                seen = torch.where(region, (frames - mean) / std, 0)
                square = F.interpolate(seen, (self.size, self.size), mode="bilinear", antialias=True)
                found.append(self._vectors(square))
        return torch.cat(found)

    def _vectors(self, pictures: Tensor) -> Float[Tensor, "pixel_frames d"]:
        if hasattr(self.model, "get_image_features"):  # CLIP and its like
            out = self.model.get_image_features(pixel_values=pictures)
        else:
            out = self.model(pixel_values=pictures)
        if isinstance(out, Tensor):
            return out
        pooled = getattr(out, "pooler_output", None)
        vectors: Tensor = out.last_hidden_state[:, 0] if pooled is None else pooled
        return vectors.flatten(1)


def load_vision_feature(folder: Path) -> VisionFeature:
    """A feature that is named after its folder, such as `dinov2-small`.

    Args:
        folder: of a model of transformers that takes pictures (DINO, DINOv2, CLIP), as `save_pretrained` leaves it.

    Raises:
        FileNotFoundError: there is no model in it.
        ValueError: it takes no pictures.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no model of transformers: there is no config.json; give the folder "
            "that `save_pretrained` wrote"
        )
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    config = getattr(model.config, "vision_config", model.config)
    if not isinstance(size := getattr(config, "image_size", None), int):
        raise ValueError(
            f"the model in {folder} ({model.config.model_type}) states no image_size, so it takes no pictures; "
            "give a vision model such as DINO or CLIP"
        )
    path = folder / "preprocessor_config.json"
    scale = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return VisionFeature(
        name=folder.resolve().name,
        model=model,
        size=size,
        mean=tuple(scale.get("image_mean", IMAGENET_MEAN)),
        std=tuple(scale.get("image_std", IMAGENET_STD)),
    )
