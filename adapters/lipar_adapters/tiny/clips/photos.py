"""Collects photographs from installed (or unpacked) packages into one small pack for the clip generator.

Nothing is downloaded and nothing collected here is committed: the pack is an input of training, made from
packages with a stated licence (docs/reference/model-card.md lists them). Without a pack there are only procedural
pictures.

python -m lipar_adapters.tiny.clips.photos --root /usr/share --out .tiny_photos/pack.npz
"""

import argparse
import io
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

PHOTO_SIZE = 384
STAMP_SIZE = 128

# Folders below each root: photographs (backgrounds) by package, and Tux Paint's stamps with an alpha channel.
PHOTO_GLOBS = (
    "backgrounds/mate/nature/*.jpg",
    "backgrounds/*_by_*.jpg",
    "backgrounds/city.png",
    "backgrounds/desert.png",
    "backgrounds/goldfish.png",
    "backgrounds/calla.png",
    "backgrounds/rollpaper.png",
    "backgrounds/mate/abstract/Elephants.jpg",
    "backgrounds/gnome/wood-*.webp",
    "wallpapers/*/contents/images/1920x1080.jpg",
)
STAMP_FOLDER = "tuxpaint/stamps"
# Drawings, letters and signs make poor objects: photographic stamps only.
STAMP_SKIPS = ("cartoon", "symbols", "flags", "roadsigns", "hanukkah", "military")
STAMP_WORDS = {
    "birds": "bird", "fish": "fish", "aquatic": "fish", "cats": "cat", "canines": "dog", "dogs": "dog",
    "bovines": "cow",
    "equines": "horse", "insects": "insect", "mammals": "animal", "animals": "animal", "fruit": "fruit",
    "vegetables": "vegetable", "flowers": "flower", "trees": "tree", "plants": "plant", "auto": "car",
    "vehicles": "vehicle",
    "houses": "house", "town": "house", "clothes": "hat", "planets": "planet", "sports": "ball", "music": "instrument",
    "food": "food", "people": "person", "naturalforces": "cloud",
}  # fmt: skip


def stamp_word(path: Path) -> str:
    """The caption word of a stamp: the most specific folder that has one, else `thing`."""
    return next((STAMP_WORDS[part] for part in reversed(path.parts[:-1]) if part in STAMP_WORDS), "thing")


def scikit_photos() -> list[Path]:
    """Photographs bundled with scikit-image and scikit-learn, where these are installed."""
    found: list[Path] = []
    names = {
        "skimage.data": ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "brick.png",
                         "grass.png", "gravel.png", "hubble_deep_field.jpg", "camera.png", "coins.png", "ihc.png"),
        "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
    }  # fmt: skip
    for package, files in names.items():
        try:
            root = Path(str(resources.files(package)))
        except ModuleNotFoundError:
            continue
        found += [root / name for name in files if (root / name).exists()]
    return found


def crops(path: Path, rng: np.random.Generator, count: int) -> list[Any]:
    """The whole picture and random squares of it, each `PHOTO_SIZE` pixels wide."""
    from PIL import Image

    image = Image.open(path).convert("RGB")
    side = min(image.size)
    boxes = []
    for index in range(count):
        size = side if index == 0 else int(side * rng.uniform(0.35, 0.95))
        size = max(size, min(side, PHOTO_SIZE))
        x, y = (int(rng.integers(0, n - size + 1)) for n in image.size)
        boxes.append((x, y, x + size, y + size))
    return [image.resize((PHOTO_SIZE, PHOTO_SIZE), Image.Resampling.LANCZOS, box=box) for box in boxes]


def stamp(path: Path) -> Any:
    """A cutout centred on a transparent square, or None where a picture is opaque or nearly empty."""
    from PIL import Image

    image = Image.open(path).convert("RGBA")
    box = image.getchannel("A").point(lambda a: 255 * (a > 64)).getbbox()
    if box is None:
        return None
    image = image.crop(box)
    image.thumbnail((STAMP_SIZE - 8, STAMP_SIZE - 8), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (STAMP_SIZE, STAMP_SIZE))
    canvas.paste(image, ((STAMP_SIZE - image.width) // 2, (STAMP_SIZE - image.height) // 2))
    opaque = float(np.asarray(canvas.getchannel("A")).mean()) / 255
    return canvas if 0.12 < opaque < 0.8 else None


def encoded(image: Any, **options: Any) -> np.ndarray:
    """The bytes of a picture file in memory; `options` are those of `PIL.Image.save`."""
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def collect(roots: list[Path], out: Path, crops_each: int = 6, seed: int = 0) -> dict[str, int]:
    """Write the pack; returns how many photographs, crops and cutouts it holds."""
    rng = np.random.default_rng(seed)
    paths = sorted({p for root in roots for glob in PHOTO_GLOBS for p in root.glob(glob)}) + scikit_photos()
    arrays: dict[str, np.ndarray] = {}
    for i, path in enumerate(paths):
        for j, image in enumerate(crops(path, rng, crops_each)):
            arrays[f"photo-{i:03d}-{j}"] = encoded(image, format="JPEG", quality=90)
    stamps = sorted({p for root in roots for p in (root / STAMP_FOLDER).rglob("*.png")})
    kept = 0
    for i, path in enumerate(stamps):
        if any(skip in path.parts for skip in STAMP_SKIPS) or (cutout := stamp(path)) is None:
            continue
        arrays[f"stamp-{i:03d}-{stamp_word(path)}"] = encoded(cutout, format="WEBP", quality=88)
        kept += 1
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return {"photographs": len(paths), "crops": len(paths) * crops_each, "cutouts": kept}


def load_pack(
    path: Path | None,
) -> tuple[
    UInt8[Tensor, "photos 3 size size"] | None, UInt8[Tensor, "stamps 4 small small"] | None, list[str]
]:
    """Photographs, cutouts (RGBA) and the cutouts' words; (None, None, []) without a pack."""
    from PIL import Image

    if path is None or not path.exists():
        return None, None, []
    photos, stamps, words = [], [], []
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no pack of photographs; make one with python -m lipar_adapters.tiny.clips.photos"
        )
    with np.load(path) as pack:
        for key in sorted(pack.files):
            pixels = np.array(Image.open(io.BytesIO(pack[key].tobytes())))
            if key.startswith("photo"):
                photos.append(pixels)
            else:
                stamps.append(pixels)
                words.append(key.split("-")[2])
    channels_first = (
        torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).contiguous() for part in (photos, stamps)
    )
    return next(channels_first), next(channels_first), words


def main() -> None:
    """Run the command: collect photographs below the given folders into a pack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--root", type=Path, action="append", default=[], help="a share folder, e.g. /usr/share; repeatable"
    )
    parser.add_argument("--out", type=Path, default=Path(".tiny_photos/pack.npz"))
    args = parser.parse_args()
    click.echo(collect(args.root or [Path("/usr/share")], args.out))


if __name__ == "__main__":
    main()
