"""`lipar.enable` and `lipar.disable`: pruning inside a model that the user made, each forward by itself.

The core knows no model library. What an object is, and how to take hold of it, is known to the adapters: one that
can do so offers the class methods of `Door`.
"""

import os
import warnings
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import attrs
from torch import Tensor

from lipar.config import Config, PartConfig, build_config
from lipar.enabling.session import Held, Hold
from lipar.layout import TokenLayout
from lipar.masks.source import check_source_latents
from lipar.plugin.compatibility import FORWARD_KINDS, MASK_KINDS, Giver, check
from lipar.plugin.guard import running
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_parts
from lipar.types import Latents

WHOLE_CLIP = Config(noise=PartConfig("filtering"))
"""What `enable` does unless told otherwise: no frame stands before the clip, so copies come from inside it, drawn to
their mean by the step's noise level. Nearest to dense in docs/how-to/time-to-move.md."""


class DoorWarning(UserWarning):
    """What was asked for has no effect."""


@runtime_checkable
class Door(Protocol):
    """What an adapter class offers beside `load`, where it can also take hold of objects that users made.

    The class itself is the door, not an instance: these are class methods, and `door_targets` a class variable.
    """

    door_targets: str
    """What it recognises, in words, for messages."""

    def recognises(self, target: object) -> bool:
        """Whether it can take hold of this object; imports nothing."""
        ...

    def describe(self, target: Any) -> Held:
        """What is known about the object.

        Raises:
            TypeError: it denoises in a way in which pruned tokens cannot be led to clean values, or its kind is right,
                but something in it was replaced.
            ValueError: lipar drives it already, in another way.
        """
        ...

    def attach(self, target: Any, hold: Hold) -> None:
        """Prune the forwards that are the object's own by one `hold`: of a model all, of a pipeline those of its calls.

        The hold belongs to this object. What shares parts with it, such as another pipeline on the same model, is
        neither pruned by it nor loses a hold of its own.
        """
        ...

    def hold_of(self, target: Any) -> Hold | None:
        """What `attach` was given; None where it was not called, or `detach` was."""
        ...

    def detach(self, target: Any) -> None:
        """Undo `attach` of this object, without a trace; nothing happens where there is nothing to undo."""
        ...


@attrs.frozen(kw_only=True)
class Summary:
    """What lipar does to an object, and what that saved so far; `str` of it is a sentence."""

    target: str
    enabled: bool
    parts: str = ""
    """The recovery, noise source and restorer."""
    forwards: int = 0
    kept_tokens: int = 0
    all_tokens: int = 0

    def __str__(self) -> str:
        if not self.enabled:
            return f"{self.target}: lipar is off"
        if not self.forwards:
            return f"{self.target}: lipar is on ({self.parts}), no forward yet"
        share = self.kept_tokens / self.all_tokens
        passes = f"{self.forwards} forward{'s' if self.forwards > 1 else ''}"
        return (
            f"{self.target}: lipar is on ({self.parts}); {passes} computed {self.kept_tokens} of {self.all_tokens} "
            f"tokens ({share:.1%})"
        )


def enable(
    target: Any,
    config: Config | Mapping[str, Any] | None = None,
    *,
    source: Any = None,
    layout: TokenLayout | None = None,
    host: PluginHost | None = None,
) -> Any:
    """Prune a model's forwards, until `disable`; called again, it replaces what was set before.

    The whole clip is one block, and its first latent frame stands whole. Tokens that repeat in the source are not
    computed: they get the velocity that leads to the clean latents of the token that they repeat. For inference.

    Args:
        target: a stock Wan pipeline of diffusers (text-, image- or video-to-video), whose own calls are pruned; a
            `WanTransformer3DModel`, whose every forward is pruned except in the calls of an enabled pipeline; or what
            another adapter recognises.
        config: thresholds, criterion, refiners, recovery, noise source and restorer; None: `m-degree` with
            filtered copies from inside the clip. A dict of tables, as a config file has them, is laid over that.
            `self_redundancy` goes without a source.
        source: the video whose redundancy counts, of the length and size that are being made: a path, pictures, an
            array or a tensor of pixels in [0, 1] or uint8 (see `lipar.video.given_frames.pixel_frames`), or clean
            latents `1 t c h w` in the scale that the model sees. Video-to-video reads the video of each call unless
            this is given. None: see `config`.
        layout: instead of a source, which tokens are kept; the first frame whole.
        host: the plugins; None: all that are installed.

    Returns:
        `target`. Without source, layout and `self_redundancy` it computes everything, with a warning.

    Raises:
        TypeError: no adapter recognises the object, a pipeline's scheduler does not follow flow matching, or something
            in the model was replaced (a call raises these as well, since parts can be exchanged later); or a source or
            config is of a kind that cannot be read.
        ConfigError: a part needs what there is not, such as frames before the clip; or a dict that is no config.
        ValueError: a source that does not fit, or a layout that prunes in the first frame. A forward of other tokens
            than the layout's or the source's raises it, too.
        RuntimeError: raised by a forward only: it prunes while gradients are on and something requires one, or a
            feature is on that cannot work on kept tokens.
    """
    host = host or load_plugins()
    door = _door_to(target, host)
    if source is not None and layout is not None:
        raise ValueError("give either a source or a layout; a layout says already what the source would")
    config = _config_of(config)
    held = door.describe(target)
    parts = make_parts(host, config)
    kinds = FORWARD_KINDS if layout is not None else FORWARD_KINDS | MASK_KINDS
    check(
        host, config, parts, Giver(f"lipar.enable on this {type(target).__name__}", held.facts), kinds=kinds
    )
    if layout is not None:
        # the model sees one block and nothing before it, whatever video the layout was made for
        layout = attrs.evolve(_checked_layout(layout), has_history=False)
    elif source is None and not held.brings_source and config.self_redundancy.full_steps is None:
        warnings.warn(
            "no source and no layout was given: every token is kept, nothing is saved; pass source=video, or set "
            "self_redundancy.full_steps in the config",
            DoorWarning,
            stacklevel=2,
        )
    hold = Hold(config=config, parts=parts, held=held, layout=layout)
    if source is not None:
        hold.take_source(_latents_of(source, held))
    door.detach(target)
    door.attach(target, hold)
    return target


def _latents_of(source: Any, held: Held) -> Latents:
    """The source as clean latents `1 t c h w`; a tensor of five axes may be latents or pixels, its channels tell."""
    if isinstance(source, Tensor) and source.ndim == 5:
        # grey, RGB or RGBA; or RGB with its channels last
        pixels = source.shape[2] in (1, 3, 4) or source.shape[4] == 3
        if held.channels in source.shape[1:3] or not pixels:
            check_source_latents(source, held.channels)
            return source.detach()
    if held.encode is None:
        raise ValueError(
            "this object has no autoencoder to encode a video with; pass source latents 1 t c h w, or its pipeline"
        )
    return held.encode(source)


def _config_of(config: Any) -> Config:
    if config is None:
        return WHOLE_CLIP
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return build_config(settings=[config], base=WHOLE_CLIP)
    hint = "a source or a layout is given by its name, source=... or layout=..."
    if isinstance(config, str | os.PathLike):
        hint = "lipar.build_config(file=...) reads a file, lipar.build_config(preset=...) a preset"
    raise TypeError(
        f"config is a lipar.Config, a dict of its tables, or None; got {type(config).__name__}: {hint}"
    )


def _checked_layout(layout: Any) -> TokenLayout:
    if not isinstance(layout, TokenLayout):
        raise TypeError(
            f"layout is a lipar.TokenLayout; got {type(layout).__name__}: a mask `frames rows cols`, True where a "
            "token is computed, becomes one by lipar.TokenLayout(keep_mask, has_history=False)"
        )
    return layout


def disable(target: Any, *, host: PluginHost | None = None) -> Any:
    """Leave a model as it was before `enable`; nothing happens where it was not enabled.

    What was enabled on another object stays, such as on a pipeline that uses this transformer.

    Raises:
        TypeError: no adapter recognises the object.
    """
    _door_to(target, host or load_plugins()).detach(target)
    return target


def summary(target: Any, *, host: PluginHost | None = None) -> Summary:
    """What lipar does to a model, and how many tokens it computed.

    Raises:
        TypeError: no adapter recognises the object.
    """
    hold = _door_to(target, host or load_plugins()).hold_of(target)
    name = type(target).__name__
    if hold is None:
        return Summary(target=name, enabled=False)
    config = hold.config
    return Summary(
        target=name,
        enabled=True,
        parts=f"{config.recovery.name}, {config.noise.name}, {config.restorer.name}",
        forwards=hold.forwards,
        kept_tokens=hold.kept_tokens,
        all_tokens=hold.all_tokens,
    )


def _door_to(target: object, host: PluginHost) -> Door:
    doors: list[Door] = []
    for registered in host.registries["adapter"]:
        door: Any = registered.part
        if not isinstance(door, Door):
            continue
        with running(None if registered.own else str(registered)):
            if door.recognises(target):
                return door
        doors.append(door)
    supported = (
        ", ".join(dict.fromkeys(door.door_targets for door in doors)) or "nothing (no adapter offers a door)"
    )
    hint = ""
    if hasattr(target, "_orig_mod"):
        hint = "; this one was compiled as a whole: pass the module itself, and compile its blocks"
    raise TypeError(f"lipar cannot take hold of a {type(target).__name__}; supported: {supported}{hint}")
