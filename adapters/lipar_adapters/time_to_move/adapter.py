"""The adapter `ttm`: Time-to-Move on the bundled bidirectional model, or on a Wan model from a local folder."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Literal

import attrs
import torch
from attrs.validators import instance_of

from lipar.protocols import ClipAdapter, Pipeline
from lipar_adapters.catalogue import entries, located
from lipar_adapters.time_to_move.motion import MotionModel
from lipar_adapters.wan.pipelines import A14B, TI2V, family_of, load_pipeline, read_index, taehv_of
from lipar_adapters.wan.taehv_option import only_with_taehv, taehv_file

TINY = "tiny"
FROM_FOLDER = {
    TI2V: {"pixels": 704 * 1280, "frames": 121},
    A14B: {"pixels": 480 * 832, "frames": 81},
    "wan2.1": {"pixels": 480 * 832, "frames": 81},
}
NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，"
    "最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，"
    "畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""Wan's default (`sample_neg_prompt` of its configuration), which TTM's script uses as well."""


def _of_the_model(adapter: "TimeToMove", _: "attrs.Attribute[str]", value: str) -> None:
    if value == "taehv" and adapter.model == TINY:
        raise ValueError(
            "TAEHV is for Wan, and the bundled model has an autoencoder of its own; name the folder of a Wan model, or "
            "leave TAEHV out"
        )


@attrs.frozen(kw_only=True)
class TimeToMove(ClipAdapter):
    """Time-to-Move: a clip from a first frame that moves as a motion video does; run by `lipar ttm`."""

    model: str = attrs.field(default=TINY, validator=instance_of(str))
    """`tiny`, the bundled bidirectional model; or a folder of a Wan image-to-video model in diffusers format, or its
    name in the catalogue (`lipar models`)."""
    model_dir: str | None = None
    """Folder of models; None: that of `LIPAR_MODELS`. The hub's cache on this machine is looked at, too."""
    offload: bool = False
    """Keep parts on the CPU until they are needed."""
    autoencoder: Literal["wan", "taehv"] = attrs.field(default="wan", validator=_of_the_model)
    """`wan`: that of the model; `taehv`: the small one in the file `taehv`, for a Wan model."""
    taehv: str | None = attrs.field(default=None, validator=only_with_taehv)
    """The released file, for `autoencoder = "taehv"`: `taew2_2.pth` for TI2V, `taew2_1.pth` for the others; None:
    that of the catalogue."""

    @property
    def gives(self) -> frozenset[str]:
        """A clean first frame only where the image is among the tokens."""
        common = frozenset({"attention-bias", "source"})
        family = TI2V if self.model == TINY else self._family()
        return common | {"clean-first-frame"} if family == TI2V else common

    @staticmethod
    def about() -> str:
        """The command line that runs it, for `lipar models show ttm`."""
        return "\n".join(
            [
                "  lipar ttm FOLDER -o OUT.mp4                  on the bundled bidirectional model",
                "  lipar ttm FOLDER -o OUT.mp4 --model WAN      on Wan 2.2 TI2V 5B, A14B or Wan 2.1 image-to-video,",
                "                                               WAN being wan2.2-ti2v-5b or wan2.2-a14b, or a folder",
                "                                               in diffusers format",
            ]
        )

    def load(self, device: torch.device, dtype: torch.dtype) -> Pipeline:
        """A stock `WanImageToVideoPipeline`.

        Raises:
            MissingCheckpointError: the folder is not whole.
            CheckpointError: its files are damaged.
            ValueError: it is of another kind of model.
        """
        if self.model == TINY:
            from lipar_adapters.tiny.pipeline import image_to_video_pipeline

            return image_to_video_pipeline(device, dtype)
        taehv = None
        if self.autoencoder == "taehv":
            taehv = taehv_file(self.taehv, taehv_of(self._family()), self.model_dir)
        return load_pipeline(self._folder(), device, dtype, image=True, offload=self.offload, taehv=taehv)

    def load_motion(self, device: torch.device, dtype: torch.dtype) -> MotionModel:
        """The same pipeline with the defaults of its model.

        Raises:
            MissingCheckpointError: the folder is not whole.
            CheckpointError: its files are damaged.
            ValueError: it is of another kind of model.
        """
        from lipar_adapters.time_to_move.model import Defaults, TimeToMoveModel

        if self.model == TINY:
            from lipar_adapters.tiny.vocabulary import warn_of_unknown_words

            defaults = Defaults(
                pixels=256 * 256, frames=33, steps=20, tweak_index=12, tstrong_index=16, guidance_scale=1.5
            )
            read_prompt = partial(warn_of_unknown_words, stacklevel=3)
            return TimeToMoveModel(self.load(device, dtype), defaults, read_prompt=read_prompt)
        family = self._family()
        defaults = Defaults(**FROM_FOLDER[family], negative_prompt=NEGATIVE_PROMPT)
        return TimeToMoveModel(self.load(device, dtype), defaults)

    def _family(self) -> str:
        return family_of(read_index(self._folder(), without=self._without()))

    def _folder(self) -> Path:
        """The folder of a Wan model: the one that `model` names, or that of the catalogue."""
        folder = Path(self.model).expanduser()
        if folder.is_dir() or self.model not in entries():
            return folder
        return located(self.model, ["folder"], self.model_dir, self._without())["folder"]

    def _without(self) -> Collection[str]:
        return ("vae",) if self.autoencoder == "taehv" else ()
