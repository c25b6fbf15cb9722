"""Options that commands share, each declared once: name, type, help and what is done with its value."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from lipar import bounds
from lipar.bounds import shown
from lipar.cli.debug import Function
from lipar.cli.debug import debug_option as debug_option
from lipar.cli.number import SIDE, NumberType
from lipar.config import ENGINES, Config, build_config, presets
from lipar.video.encoding import CODECS

DTYPE_NAMES = ("bfloat16", "float16", "float32")

PATH = click.Path(path_type=Path)
"""A path that need not exist yet."""
CLIP = click.Path(path_type=Path, exists=True, dir_okay=False)
"""A file that exists."""


class SizeType(click.ParamType[tuple[int, int]]):
    """`WIDTHxHEIGHT` in pixels."""

    name = "WxH"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read the text; fails where a side is no whole number within the bounds of video codecs."""
        if isinstance(value, tuple):
            return value
        width, x, height = value.lower().partition("x")
        if not x or not all(side.isascii() and side.isdigit() for side in (width, height)):
            self.fail(f"{shown(value)} is no size; write WIDTHxHEIGHT, for instance 256x256", param, ctx)
        if not all(len(side) < 20 and SIDE.low <= int(side) <= SIDE.high for side in (width, height)):
            self.fail(f"width and height must lie in {SIDE}, got {shown(value)}", param, ctx)
        return int(width), int(height)


@attrs.frozen(kw_only=True)
class ConfigChoice:
    """What the options of `config_options` say about the config of a run."""

    model: str | None = None
    model_dir: Path | None = None
    file: Path | None = None
    preset: str | None = None
    settings: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        """Whether any of the options was typed."""
        return self != ConfigChoice()

    @property
    def all_settings(self) -> list[str | Mapping[str, Any]]:
        """`--model`, `--model-dir` and `--set`, in the order in which they apply."""
        # the model first: a part that is named again drops the options that were set before it
        named: list[str | Mapping[str, Any]] = [] if self.model is None else [{"adapter": self.model}]
        if self.model_dir is not None:
            named.append({"adapter": {"model_dir": str(self.model_dir)}})
        return [*named, *self.settings]

    def build(self, *more: str | Mapping[str, Any], base: Config | None = None) -> Config:
        """The config.

        Args:
            more: settings that apply after those of the command line.
            base: the config under everything else; None: the defaults.

        Raises:
            ConfigError: a value or a combination of values is wrong.
        """
        extra = {} if base is None else {"base": base}
        return build_config(preset=self.preset, file=self.file, settings=[*self.all_settings, *more], **extra)


def config_options(*, model: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--model`, `--model-dir`, `--config`, `--preset` and `--set`; the command receives one argument, `choice`.

    Args:
        model: whether `--model` and `--model-dir` are among them.
    """
    declared = [
        click.option(
            "--model", metavar="NAME", help="Model to use; `lipar models` lists them.  [default: tiny]"
        ),
        model_dir_option,
        click.option("--config", "config_file", type=PATH, help="TOML file; see docs/reference/config.md."),
        click.option("--preset", metavar="NAME", help=f"Start from a preset: {', '.join(presets())}."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="One value, e.g. prune.tau_short=0.1.",
        ),
    ]

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(
            *args: Any, config_file: Path | None, preset: str | None, settings: tuple[str, ...], **others: Any
        ) -> Any:
            named = {key: others.pop(key) for key in ("model", "model_dir")} if model else {}
            choice = ConfigChoice(**named, file=config_file, preset=preset, settings=settings)
            return function(*args, choice=choice, **others)

        return _with_options(declared if model else declared[2:], call)

    return add


def _with_options(
    options: Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]], function: Callable[..., Any]
) -> Callable[..., Any]:
    for option in reversed(options):  # as decorators stand, the last one applies first
        function = option(function)
    return function


def model_dir_option(function: Function) -> Function:
    """`--model-dir`, a folder of models, see `lipar.catalogue.places`."""
    return click.option(
        "--model-dir",
        type=PATH,
        metavar="DIR",
        help="Folder of models, with OWNER/NAME/FILE as on the hub.  [default: LIPAR_MODELS, then the hub's cache]",
    )(function)


def prompt_option(function: Function) -> Function:
    """`--prompt`, required."""
    return click.option("--prompt", required=True, help="What the result should look like.")(function)


def prompts_option(*, required: bool = True) -> Callable[[Function], Function]:
    """`--prompt`, repeatable: the argument `prompts`, a tuple for `PromptSchedule.parse`.

    Args:
        required: whether there must be one.
    """
    return click.option(
        "--prompt",
        "prompts",
        multiple=True,
        required=required,
        metavar="TEXT",
        help="What the result should look like; repeat it with moments for a schedule: 0:night, 4s:snow, 120f:fog.",
    )


def seed_option(function: Function) -> Function:
    """`--seed`; None where it was not typed."""
    return click.option("--seed", type=NumberType(bounds.SEED), help="Seed of the noise.  [default: 0]")(
        function
    )


def device_option(function: Function) -> Function:
    """`--device`, a name for `lipar.editing.model.pick_device`."""
    return click.option(
        "--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]"
    )(function)


def dtype_option(function: Function) -> Function:
    """`--dtype`, a name for `lipar.editing.model.pick_dtype`."""
    return click.option(
        "--dtype", type=click.Choice(DTYPE_NAMES), help="[default: bfloat16 on cuda, else float32]"
    )(function)


def strength_option(function: Function) -> Function:
    """`--strength`; None where it was not typed. It goes into the config, whose bounds hold for it."""
    return click.option(
        "--strength", type=float, help="How far to go from the source, 0..1.  [default: 0.4]"
    )(function)


def resolution_option(function: Function) -> Function:
    """`--resolution`, the size to process at: width and height, or None."""
    return click.option(
        "--resolution", type=SizeType(), help="Size to process at.  [default: the model's own]"
    )(function)


def size_option(function: Function) -> Function:
    """`--size`, the size to write at: `source` or `model`."""
    return click.option(
        "--size", type=click.Choice(["source", "model"]), default="source", help="Size to write at."
    )(function)


def codec_option(function: Function) -> Function:
    """`--codec`, a name for `Encoding.of`; None where it was not typed."""
    return click.option("--codec", metavar="NAME", help=f"One of {', '.join(CODECS)}.  [default: h264]")(
        function
    )


def quality_option(function: Function) -> Function:
    """`--quality`, a text for `Encoding.of`; None where it was not typed."""
    return click.option(
        "--quality",
        metavar="[PRESET:]NUMBER",
        help="Number and preset of the codec, one of them or both, e.g. medium:18.  [default for h264: edit:17]",
    )(function)


def engine_option(function: Function) -> Function:
    """`--engine`, a name in `lipar.config.ENGINES`; None where it was not typed."""
    return click.option(
        "--engine",
        type=click.Choice(ENGINES),
        help="How passes are run.  [default: graphs on an NVIDIA GPU, else eager]",
    )(function)


def dense_option(function: Function) -> Function:
    """`--dense`."""
    return click.option("--dense", is_flag=True, help="Compute every token.")(function)


def variant_option(help: str) -> Callable[[Function], Function]:
    """`--variant`, repeatable: settings that are separated by semicolons.

    Args:
        help: what a variant is in this command.
    """
    return click.option("--variant", "variants", multiple=True, metavar="KEY=VALUE[;KEY=VALUE]", help=help)


def json_option(help: str) -> Callable[[Function], Function]:
    """`--json FILE`, the argument `json_file`: where to write the figures.

    Args:
        help: what is written.
    """
    path = click.Path(path_type=Path, dir_okay=False)
    return click.option("--json", "json_file", type=path, metavar="FILE.json", help=help)


def quiet_option(function: Function) -> Function:
    """`--quiet`."""
    return click.option("--quiet", is_flag=True, help="No progress bar.")(function)
