"""Makes damaged and odd videos, reads each, writes it again with its sound, and says as a JSON line how that ended.

    python tests/tools/fuzz_videos.py FOLDER FIRST COUNT

Video number N is the same on every run. tests/video/test_fuzz.py runs it, a batch in a process, so that a hang or a
crash of a decoder costs no more than its batch.
"""

import json
import random
import sys
import traceback
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import torch

from lipar.video import VideoError, VideoReader, VideoWarning
from lipar.video.encoding import Encoding
from lipar.video.testing import copy_video, make_video, moving_gradient

FRAMES = 48
SIZE = (64, 48)
H264 = {"preset": "ultrafast", "g": "12", "bf": "2"}
KINDS = {
    "a.mp4": {"audio": "aac", "options": H264},
    "fast.mp4": {"audio": "aac", "options": H264, "container_options": {"movflags": "faststart"}},
    "parts.mp4": {
        "audio": "aac",
        "options": H264,
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "silent.mp4": {"options": H264, "container_options": {"movflags": "faststart"}},
    "a.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p", "audio": "pcm_s16le", "options": {}},
    "a.mkv": {"audio": "aac", "options": H264},
    "silent.mkv": {"options": H264},
    "a.webm": {"codec": "libvpx", "audio": "libopus", "options": {"deadline": "realtime", "g": "12"}},
    "h264.avi": {"audio": "libmp3lame", "options": H264},
    "a.avi": {"codec": "mpeg4", "audio": "libmp3lame", "options": {"bf": "2", "g": "12"}},
    "a.ts": {"audio": "aac", "options": H264},
    "a.mpg": {"codec": "mpeg2video", "audio": "mp2", "options": {"bf": "2"}},
    "a.flv": {"codec": "flv", "audio": "libmp3lame", "options": {"g": "12"}},
    "a.wmv": {"codec": "wmv2", "audio": "libmp3lame", "options": {"g": "12"}},
    "a.nut": {"codec": "ffv1", "audio": "aac", "options": {}},
    "a.gif": {"codec": "gif", "pixel_format": "rgb8", "options": {}},
    "a.y4m": {"codec": "wrapped_avframe", "options": {}},
}


def noisy(frames: int, width: int, height: int) -> list[torch.Tensor]:
    """Pictures that take many bytes, so that damage meets them rather than headers."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 50, (frames, 3, height, width), generator=generator, dtype=torch.uint8)
    return [picture + part for picture, part in zip(moving_gradient(frames, width, height), noise)]


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(1, len(data))]


def _cut_late(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) // 2, len(data))]


def _overwrite(data: bytes, draw: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(draw.choice([1, 4, 30, 200])):
        broken[draw.randrange(len(broken))] = draw.randrange(256)
    return bytes(broken)


def _overwrite_header(data: bytes, draw: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(draw.choice([1, 2, 8])):
        broken[draw.randrange(min(2048, len(broken)))] = draw.randrange(256)
    return bytes(broken)


def _zero(data: bytes, draw: random.Random) -> bytes:
    first, length = draw.randrange(len(data)), draw.randrange(1, len(data) // 3)
    return data[:first] + bytes(len(data[first : first + length])) + data[first + length :]


def _remove(data: bytes, draw: random.Random) -> bytes:
    first = draw.randrange(len(data))
    return data[:first] + data[first + draw.randrange(1, len(data) // 3) :]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    first = draw.randrange(len(data))
    last = first + draw.randrange(1, len(data) // 3)
    return data[:last] + data[first:last] + data[last:]


def _swap(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(1, len(data))
    return data[at:] + data[:at]


def _prefix(data: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice([1, 100, 5000])) + data


def _twice(data: bytes, draw: random.Random) -> bytes:
    return data + data


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [
    *(_cut, _cut_late, _overwrite, _overwrite_header, _zero, _remove, _repeat, _swap, _prefix, _twice)
]


def damaged(folder: Path, draw: random.Random) -> tuple[Path, int]:
    """Give a damaged video and how many frames it had."""
    name = draw.choice(sorted(KINDS))
    whole = folder / f"whole-{name}"
    if not whole.exists():
        make_video(whole, noisy(FRAMES, *SIZE), **{"seconds": FRAMES / 24, **KINDS[name]})
    damage = draw.choice(DAMAGES)
    path = folder / f"{damage.__name__.strip('_')}-{name}"
    path.write_bytes(damage(whole.read_bytes(), draw))
    return path, FRAMES


def odd(folder: Path, draw: random.Random) -> tuple[Path, int]:
    """Give a video that is whole and unusual, and how many frames it has."""
    frames = draw.choice([1, 2, 24])
    width, height = draw.choice([(64, 48), (63, 47), (16, 64), (2, 2)])
    first = draw.choice([0, 0, 700, 1500, 90_000_000])
    steps = [draw.choice([40, 41, 45]) for _ in range(frames)]
    name, codec, pixel_format = draw.choice(
        [
            ("odd.mkv", "ffv1", draw.choice(["yuv420p", "yuv444p10le", "gray", "bgr0"])),
            ("odd.mov", "png", draw.choice(["rgb24", "rgba", "rgb48be", "gray16be"])),
            ("odd.mp4", "libx264", "yuv444p" if width % 2 else draw.choice(["yuv420p", "yuv444p10le"])),
        ]
    )
    path = make_video(
        folder / name,
        moving_gradient(frames, width, height),
        pts=[first + sum(steps[:index]) for index in range(frames)],
        time_base=Fraction(1, 1000),
        codec=codec,
        pixel_format=pixel_format,
        options={},
        rotation=draw.choice([0, 90, 180, 270]) if name.endswith(("mov", "mp4")) else 0,
        sample_aspect_ratio=draw.choice([None, Fraction(4, 3), Fraction(1, 2)]),
        audio=draw.choice([None, "aac", "flac" if name == "odd.mkv" else "aac"]),
        audio_start=max(Fraction(0), Fraction(first, 1000) + draw.choice([-1, 0, Fraction(1, 3)])),
        seconds=draw.choice([0.1, 1.0, 3.0]),
    )
    return path, frames


def judge(path: Path, frames: int) -> tuple[str, str]:
    """Read and copy a video; give the verdict and what was said."""
    target = path.with_name(f"copied{random.Random(path.name).choice(['.mp4', '.mov', '.mkv'])}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with VideoReader(path) as reader:
                read = len(list(reader))
            copy_video(path, target, encoding=Encoding.of(quality="ultrafast"))
            with VideoReader(target) as reader:
                copied = len(list(reader))
        except VideoError as error:
            return "refused", str(error)
        except Exception:
            return "traceback", traceback.format_exc()
        finally:
            target.unlink(missing_ok=True)
    messages = {str(warning.message) for warning in caught if warning.category is VideoWarning}
    said = "; ".join(sorted(message for message in messages if not message.startswith("copied")))
    left_behind = [partial.name for partial in path.parent.iterdir() if ".partial" in partial.name]
    if copied != read or left_behind:
        return "wrong copy", f"{read} frames read, {copied} written; left behind: {left_behind}"
    if said:
        return "warned", f"{read} of {frames}: {said}"
    return ("whole", "") if read >= frames else ("silent loss", f"{read} of {frames}")


def main(folder: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        draw = random.Random(number)
        path, frames = (odd if number % 6 == 0 else damaged)(folder, draw)
        # said first, so that one that hangs is known
        print(json.dumps({"number": number, "video": path.name}), end=" ", flush=True)
        verdict, said = judge(path, frames)
        print(json.dumps({"verdict": verdict, "said": said}), flush=True)
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
