"""Wan pipelines from local diffusers folders, and the adapters that load them."""

import re
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import torch
from attrs.validators import instance_of, optional

from lipar.bounds import shown
from lipar.catalogue.entry import Entry
from lipar.protocols import ClipAdapter, Pipeline
from lipar_adapters.catalogue import entries_of, located
from lipar_adapters.checkpoint_errors import CheckpointError, MissingCheckpointError, reading, some, unfit
from lipar_adapters.loading import (
    check_vocabulary,
    load_diffusers_model,
    load_tokenizer,
    load_transformers_model,
)
from lipar_adapters.model_config import read_config, read_json
from lipar_adapters.wan.quantise_option import Quantise, check_quantise, quantise_layers
from lipar_adapters.wan.taehv_option import only_with_taehv, taehv_file

INDEX = "model_index.json"
TI2V, A14B, WAN21 = "wan2.2-ti2v", "wan2.2-a14b", "wan2.1"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json")


def read_index(folder: str | Path, *, without: Collection[str] = ()) -> dict[str, Any]:
    """A pipeline's `model_index.json`, after checking that all parts it names are present.

    Args:
        folder: a pipeline in diffusers format.
        without: parts that come from elsewhere, so that their folders may be missing.

    Raises:
        MissingCheckpointError: the folder is not whole; says what is missing.
        CheckpointError: it is not of a Wan pipeline.
    """
    folder = Path(folder).expanduser()
    path = folder / INDEX
    if not path.is_file():
        raise MissingCheckpointError(
            f"{folder} has no {INDEX}; name a folder in diffusers format, such as one of Wan2.2-TI2V-5B-Diffusers"
        )
    index = read_json(path)
    name = str(index.get("_class_name"))
    if not name.startswith("Wan"):
        raise CheckpointError(f"{folder} is of a {shown(name)[1:-1]}, not of a Wan pipeline")
    parts = _parts(index, path)
    missing = [part for part in ("vae", "scheduler") if part not in parts]
    missing += ["transformer"] if not {"transformer", "transformer_2"} & parts.keys() else []
    if missing:
        raise unfit(path, "the parts of a Wan pipeline", f"none named {some(missing)}")
    missing = [part for part in parts if part not in without and not _is_whole(folder / part)]
    if missing:
        raise MissingCheckpointError(
            f"{folder} is not whole; missing: {', '.join(missing)}. Put the files there, or see `lipar models fetch`"
        )
    return index


def _parts(index: dict[str, Any], path: Path) -> dict[str, tuple[str, str]]:
    """Library and class of each part that is there; parts of other libraries could bring their own code."""
    parts = {}
    for part, kind in index.items():
        if part.startswith("_") or not isinstance(kind, list) or kind == [None, None]:
            continue
        fits = len(kind) == 2 and all(isinstance(word, str) for word in kind)
        if not fits or kind[0] not in ("diffusers", "transformers") or not re.fullmatch(r"\w+", part):
            raise unfit(path, f"{shown(part)} to be a class of diffusers or transformers", shown(kind))
        parts[part] = (kind[0], kind[1])
    return parts


def _is_whole(part: Path) -> bool:
    configs = list(part.glob("*config.json"))
    needs_weights = (part / "config.json").is_file()
    return bool(configs) and (not needs_weights or any(list(part.glob(kind)) for kind in _WEIGHTS))


def family_of(index: dict[str, Any]) -> str:
    """The family of a Wan pipeline: `wan2.2-ti2v` has a timestep for every token, `wan2.2-a14b` two experts."""
    if index.get("expand_timesteps"):
        return TI2V
    if index.get("boundary_ratio") is not None or (index.get("transformer_2") or [None])[0] is not None:
        return A14B
    return WAN21


def load_pipeline(
    folder: str | Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    image: bool,
    offload: bool = False,
    quantise: Quantise = "none",
    taehv: Path | None = None,
) -> Pipeline:
    """A stock pipeline from local files; the autoencoder in float32, as Wan's authors advise.

    Args:
        folder: a pipeline in diffusers format.
        device: where the pipeline runs.
        dtype: type of the transformers and the text encoder.
        image: a `WanImageToVideoPipeline`, else a `WanPipeline`.
        offload: keep parts on the CPU until they are needed (needs a GPU).
        quantise: the linear layers of the transformers, see `lipar_adapters.wan.fp8` and `int8`.
        taehv: file of TAEHV, which then is the autoencoder, in `dtype`; None: that of the folder.

    Raises:
        MissingCheckpointError: the folder is not whole, or there is no file of TAEHV.
        CheckpointError: its files are damaged.
        ValueError: TAEHV is that of another Wan; the model does not take an image, or takes nothing else; offload on a
            CPU; or `quantise` where it is not possible.
    """
    from diffusers import WanImageToVideoPipeline, WanPipeline
    from transformers import AutoTokenizer

    if offload and device.type == "cpu":
        raise ValueError("there is nothing to offload from a CPU; leave offload out, or name a GPU")
    check_quantise(quantise, device, dtype)
    folder = Path(folder).expanduser()
    index = read_index(folder, without=replaced_by(taehv))
    channels_in, channels_out = _channels(folder, index)
    takes_channels = channels_in != channels_out
    if family_of(index) != TI2V and takes_channels != image:
        wanted, came = ("image", "text") if image else ("text", "image")
        raise ValueError(
            f"{folder} holds Wan's {came}-to-video model, and {wanted}-to-video is needed; name a folder of that model"
        )
    kind = WanImageToVideoPipeline if image else WanPipeline
    models = {} if taehv is None else {"vae": _load_taehv(taehv, channels_out, dtype)}
    models |= {
        part: _load_part(folder, part, library, name, torch.float32 if part == "vae" else dtype)
        for part, (library, name) in _parts(index, folder / INDEX).items()
        if part not in models and (folder / part / "config.json").is_file()
    }
    for part in ("transformer", "transformer_2"):
        if part in models:
            quantise_layers(models[part], quantise)
    if "tokenizer" in index and "text_encoder" in models:
        models["tokenizer"] = load_tokenizer(AutoTokenizer, folder / "tokenizer")
        check_vocabulary(models["tokenizer"], models["text_encoder"], folder)
    with reading(folder, f"a {kind.__name__}"):
        pipe = kind.from_pretrained(folder, **models, local_files_only=True)
    if offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def _load_part(folder: Path, part: str, library: str, name: str, dtype: torch.dtype) -> Any:
    kind = getattr(import_module(library), name, None)
    if not isinstance(kind, type):
        raise unfit(folder / INDEX, f"a class of {library} for {part}", shown(name))
    load = load_diffusers_model if library == "diffusers" else load_transformers_model
    return load(kind, folder / part, dtype=dtype)


def replaced_by(taehv: str | Path | None) -> Collection[str]:
    """Parts of a pipeline's folder that are not read where a file of TAEHV is named."""
    return () if taehv is None else ("vae",)


def taehv_of(family: str) -> str:
    """The name in the catalogue of TAEHV for the latents of a family."""
    return "taew2_2" if family == TI2V else "taew2_1"


def _load_taehv(path: Path, channels: int, dtype: torch.dtype) -> Any:
    from lipar_adapters.taehv_pipeline import TaehvWanAutoencoder
    from lipar_adapters.wan.taehv import load_taehv

    autoencoder = load_taehv(path, dtype=dtype)
    if autoencoder.latent_channels != channels:
        raise ValueError(
            f"{path} makes latents of {autoencoder.latent_channels} channels, and the transformer gives {channels}; "
            "take taew2_1.pth for Wan 2.1 and Wan 2.2 A14B, taew2_2.pth for Wan 2.2 TI2V 5B"
        )
    return TaehvWanAutoencoder.around(autoencoder)


def _channels(folder: Path, index: dict[str, Any]) -> tuple[int, int]:
    """Channels in and out; more come in where the image has channels of its own, and the model needs one then."""
    part = "transformer" if (index.get("transformer") or [None])[0] else "transformer_2"
    config = read_config(folder / part / "config.json", needed=("in_channels", "out_channels"))
    return config["in_channels"], config["out_channels"]


@attrs.frozen(kw_only=True)
class _Wan22(ClipAdapter):
    """Options of the adapters of Wan 2.2."""

    folder: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    """A folder in diffusers format; None: that of `weights`."""
    weights: str | None = None
    """Name in the catalogue (`lipar models`) of the model whose folder is read where `folder` is not set; None: the
    released model of this kind."""
    model_dir: str | None = None
    """Folder of models; None: that of `LIPAR_MODELS`. The hub's cache on this machine is looked at, too."""
    image: bool = True
    """An image-to-video pipeline; else text-to-video, which `video_to_video` takes. A14B has a folder for each."""
    offload: bool = False
    """Keep parts on the CPU until they are needed."""
    quantise: Quantise = "none"
    """`fp8`, `int8`: as of the adapter `self-forcing`."""
    autoencoder: Literal["wan", "taehv"] = "wan"
    """`wan`: `vae` of the folder, in float32; `taehv`: the small one in the file `taehv`."""
    taehv: str | None = attrs.field(default=None, validator=only_with_taehv)
    """The released file, for `autoencoder = "taehv"`: `taew2_2.pth` for TI2V, `taew2_1.pth` for A14B; None: that of
    the catalogue."""

    family: ClassVar[str]
    example: ClassVar[str]
    home: ClassVar[str]
    released: ClassVar[dict[bool, str]]
    """Names in the catalogue of the image-to-video and the text-to-video model."""

    @classmethod
    def catalogue(cls) -> Sequence[Entry]:
        """The released models of this kind."""
        return entries_of(cls.family)

    @classmethod
    def about(cls) -> str:
        """The folder that it needs, and how to run it."""
        return "\n".join(
            [
                f"  It needs a folder in diffusers format, such as {cls.example}: {INDEX}, transformer, vae,",
                "  text_encoder, tokenizer and scheduler, with their weights. `lipar models fetch` gets them.",
                f"  Native size: {cls.home}.",
                "  It generates a clip in a single pass: `lipar ttm --model FOLDER`, or `lipar.enable` in Python.",
            ]
        )

    def load(self, device: torch.device, dtype: torch.dtype) -> Pipeline:
        """A `WanImageToVideoPipeline`, or a `WanPipeline`.

        Raises:
            MissingCheckpointError: the folder is not whole, or there is no file of TAEHV.
            CheckpointError: its files are damaged.
            ValueError: it is of another model, or TAEHV is; or `quantise` is not possible here.
        """
        taehv = None
        if self.autoencoder == "taehv":
            taehv = taehv_file(self.taehv, taehv_of(self.family), self.model_dir)
        folder = Path(self.folder).expanduser() if self.folder is not None else self._located(taehv)
        came = family_of(read_index(folder, without=replaced_by(taehv)))
        if came != self.family:
            raise ValueError(
                f"{folder} is of {came}, not of {self.family}; take that adapter, or another folder"
            )
        return load_pipeline(
            folder,
            device,
            dtype,
            image=self.image,
            offload=self.offload,
            quantise=self.quantise,
            taehv=taehv,
        )

    def _located(self, taehv: Path | None) -> Path:
        name = self.weights or self.released[self.image]
        return located(name, ["folder"], self.model_dir, replaced_by(taehv))["folder"]


@attrs.frozen(kw_only=True)
class Wan22TI2V(_Wan22):
    """Wan 2.2 TI2V 5B: a stock diffusers pipeline from a local folder; its image is among the tokens."""

    family = TI2V
    example = "Wan2.2-TI2V-5B-Diffusers"
    released: ClassVar[dict[bool, str]] = {True: "wan2.2-ti2v-5b", False: "wan2.2-ti2v-5b"}
    home = "704x1280 pixels, 121 frames at 24 a second"
    gives: ClassVar[frozenset[str]] = frozenset({"clean-first-frame", "attention-bias", "source"})


@attrs.frozen(kw_only=True)
class Wan22A14B(_Wan22):
    """Wan 2.2 A14B with its two experts: a stock diffusers pipeline from a local folder."""

    family = A14B
    example = "Wan2.2-I2V-A14B-Diffusers (or T2V)"
    released: ClassVar[dict[bool, str]] = {True: "wan2.2-a14b", False: "wan2.2-a14b-t2v"}
    home = "480x832 or 720x1280 pixels, 81 frames at 16 a second"
    gives: ClassVar[frozenset[str]] = frozenset({"attention-bias", "source"})
