"""Codec, speed and quality of a written video: what can be asked for, and how ffmpeg's encoders are told."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

from lipar.bounds import shown
from lipar.video.errors import VideoError

LAMBDA = 118
"""ffmpeg's steps of `global_quality` for each step of a quality (FF_QP2LAMBDA in libavutil)."""
_X26X = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)


@attrs.frozen(kw_only=True)
class Codec:
    """A codec as one encoder of ffmpeg writes it."""

    encoder: str
    """ffmpeg's name."""
    presets: tuple[str, ...] = ()
    """From the fastest to the slowest; empty: the encoder has none."""
    preset: str | None = None
    """The default."""
    best: int
    """The number of the best quality that the encoder knows."""
    worst: int
    number: int
    """The default: the quality of a frame is constant, not the number of its bits."""
    options: Mapping[str, str]
    """Options of the encoder, with `{preset}`, `{number}` and `{scaled}`, which is the number times `LAMBDA`."""
    own_presets: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    """Options of those presets that the encoder does not know by name."""
    least_side: int = 1
    """Pixels of the smallest width and height that are tried."""
    hardware: bool = False
    containers: tuple[str, ...] = (".mp4", ".mov", ".mkv")
    """Endings of files that can contain it, as players expect."""
    rgb_format: str = ""
    """Pictures are stored as they leave the model, as red, green and blue, in this format; empty: as YUV."""

    @property
    def choices(self) -> str:
        """What `--quality` may be, for messages."""
        number = f"a number from {self.best} (best) to {self.worst}, by default {self.number}"
        if not self.presets:
            return number
        names = ", ".join(self.presets)
        return (
            f"{number}; a preset, fastest first: {names}; or both with a colon, such as "
            f"{self.preset}:{self.number}"
        )

    def parsed(self, quality: str) -> tuple[str | None, int | None]:
        """Preset and number of `PRESET:NUMBER` or of one of them; the number is None where it is none of this codec.

        Args:
            quality: as a user writes it.
        """
        preset, colon, text = quality.rpartition(":")
        if not colon and quality in self.presets and not quality.isdecimal():
            return quality, self.number
        # a plain number is a quality, also where presets are numbers (av1)
        low, high = sorted((self.best, self.worst))
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else -1
        return preset if colon else self.preset, number if low <= number <= high else None


def _software() -> dict[str, Codec]:
    x264 = {"preset": "{preset}", "crf": "{number}"}
    x265 = x264 | {"x265-params": "log-level=none"}
    presets = tuple(str(speed) for speed in range(13, -1, -1))
    return {
        "h264": Codec(
            encoder="libx264",
            presets=(*_X26X[:2], "edit", *_X26X[2:]),
            preset="edit",
            best=0,
            worst=51,
            number=17,
            options=x264,
            # veryfast with the motion search of superfast: on enlarged edits a quarter less time at the same size and
            # PSNR (`lipar bench --section files`); superfast's own rate control makes files twice as large
            own_presets={"edit": {"preset": "veryfast", "x264-params": "me=dia:partitions=i4x4,i8x8"}},
        ),
        "hevc": Codec(
            encoder="libx265", presets=_X26X, preset="veryfast", best=0, worst=51, number=18, options=x265
        ),
        "av1": Codec(
            encoder="libsvtav1",
            presets=presets,
            preset="8",
            best=1,
            worst=63,
            number=20,
            options=x264,
            least_side=32,  # SVT-AV1 4.1 never returns from 512x16
            containers=(".mp4", ".mkv", ".webm"),
        ),
    }


def _for_other_files() -> dict[str, Codec]:
    """What WebM and lossless files are written in."""
    return {
        "vp9": Codec(
            encoder="libvpx-vp9",
            presets=tuple(str(speed) for speed in range(8, -1, -1)),
            preset="5",
            best=0,
            worst=63,
            number=24,
            options={"cpu-used": "{preset}", "crf": "{number}", "b": "0", "row-mt": "1", "deadline": "good"},
            own_presets={str(speed): {"deadline": "realtime"} for speed in (6, 7, 8)},
            containers=(".mp4", ".mkv", ".webm"),
        ),
        "ffv1": Codec(
            encoder="ffv1",
            best=0,
            worst=0,
            number=0,
            options={"level": "3", "slicecrc": "1"},
            containers=(".mkv",),
            rgb_format="bgr0",
        ),
        "h264_rgb": Codec(
            encoder="libx264rgb",
            presets=_X26X,
            preset="veryfast",
            best=0,
            worst=0,
            number=0,
            options={"preset": "{preset}", "qp": "0"},
            containers=(".mkv", ".mp4"),
            rgb_format="bgr0",
        ),
    }


def _hardware() -> dict[str, Codec]:
    nvidia = Codec(
        encoder="nvenc",
        presets=tuple(f"p{speed}" for speed in range(1, 8)),
        preset="p4",
        best=1,
        worst=51,
        number=19,
        options={"preset": "{preset}", "rc": "vbr", "cq": "{number}", "b": "0"},
        hardware=True,
    )
    intel = Codec(
        encoder="qsv",
        presets=_X26X[2:-1],
        preset="medium",
        best=1,
        worst=51,
        number=19,
        options={"preset": "{preset}", "global_quality": "{number}"},
        hardware=True,
    )
    amd = Codec(
        encoder="amf",
        presets=("speed", "balanced", "quality"),
        preset="balanced",
        best=0,
        worst=51,
        number=19,
        options={"quality": "{preset}", "rc": "cqp", "qp_i": "{number}", "qp_p": "{number}"},
        hardware=True,
    )
    apple = Codec(
        encoder="videotoolbox",
        best=100,
        worst=1,
        number=65,
        options={"global_quality": "{scaled}", "flags": "+qscale"},
        hardware=True,
    )
    by_maker = ((nvidia, "h264 hevc av1"), (intel, "h264 hevc av1"), (amd, "h264 hevc"), (apple, "h264 hevc"))
    names = ((f"{codec}_{maker.encoder}", maker) for maker, codecs in by_maker for codec in codecs.split())
    av1 = (".mp4", ".mkv", ".webm")
    return {
        name: attrs.evolve(
            maker, encoder=name, containers=av1 if name.startswith("av1") else maker.containers
        )
        for name, maker in names
    }


CODECS: Mapping[str, Codec] = MappingProxyType(_software() | _hardware() | _for_other_files())
"""Every codec that a video can be written in, by name; those of hardware need that hardware."""


@attrs.frozen(kw_only=True)
class Encoding:
    """How a video is encoded; `of` makes one from what a user writes."""

    codec: str
    """A key of `CODECS`."""
    preset: str | None
    """Speed of the encoder in its own words; None: it has only one."""
    number: int
    """Quality in the encoder's own scale."""

    @classmethod
    def of(
        cls, codec: str | None = None, quality: str | int | None = None, path: Path | None = None
    ) -> "Encoding":
        """The encoding that a user asks for.

        Args:
            codec: a key of `CODECS`; None: H.264 by x264, and VP9 in .webm.
            quality: a number, a preset, or both as `PRESET:NUMBER`, in the encoder's own words; what is not given is
                the codec's default.
            path: of the file.

        Raises:
            VideoError: there is no such codec, or it does not know this quality; the message lists what is possible.
        """
        usual = "vp9" if path is not None and path.suffix.lower() == ".webm" else "h264"
        name = usual if codec is None else codec
        known = CODECS.get(name)
        if known is None:
            raise VideoError(f"no codec named {shown(name)}; there are: {', '.join(CODECS)} (hevc is H.265)")
        preset, number = known.parsed(str(known.number if quality is None else quality))
        if number is None or (preset is not None and preset not in known.presets):
            raise VideoError(f"{name} has no quality {shown(quality)}; write {known.choices}")
        return cls(codec=name, preset=preset, number=number)

    def check_container(self, *paths: Path | None) -> None:
        """Refuse files that cannot contain the codec.

        Args:
            paths: by their endings; None is skipped.

        Raises:
            VideoError: such as AV1 in .mov, or H.264 in .webm.
        """
        fitting = CODECS[self.codec].containers
        for path in paths:
            suffix = "" if path is None else path.suffix.lower()
            if suffix in (*CODECS["h264"].containers, ".webm") and suffix not in fitting:
                others = [
                    name
                    for name, codec in CODECS.items()
                    if suffix in codec.containers and not codec.hardware
                ]
                raise VideoError(
                    f"{path} cannot contain {self.codec}; name it {' or '.join(fitting)}, or take codec "
                    f"{' or '.join(others[:2])}"
                )

    def fits(self, suffix: str) -> bool:
        """Whether files of an ending can contain the codec.

        Args:
            suffix: such as `.mp4`.
        """
        return suffix in CODECS[self.codec].containers

    @property
    def lossless_rgb(self) -> bool:
        """Whether pictures are stored as they leave the model, bit for bit at the size processed."""
        return bool(CODECS[self.codec].rgb_format)

    def __str__(self) -> str:
        """As it is written on the command line, such as `h264 veryfast:17`."""
        return f"{self.codec} {self.number if self.preset is None else f'{self.preset}:{self.number}'}"

    @property
    def encoder(self) -> str:
        """The encoder, by ffmpeg's name."""
        return CODECS[self.codec].encoder

    @property
    def options(self) -> dict[str, str]:
        """Options of the encoder."""
        codec = CODECS[self.codec]
        values = {"preset": self.preset, "number": self.number, "scaled": self.number * LAMBDA}
        filled = {key: value.format_map(values) for key, value in codec.options.items()}
        filled |= codec.own_presets.get(self.preset or "", {})
        # no B-frames: frames stored in the order they are shown have correct durations in every container
        return filled | {"bf": "0"}


DEFAULT_ENCODING = Encoding.of()
"""H.264 by x264."""
