"""`lipar.enable` and `lipar.disable`: pruning inside a model that the user made, each forward by itself.

The core knows no model library. What an object is, and how to take hold of it, is known to the adapters: one that
can do so offers the class methods of `Door`.
"""

import warnings
from typing import Any, Protocol, runtime_checkable

import attrs
import torch
from torch import Tensor

from lipar.attention import BlockContext
from lipar.compatibility import DOOR, FORWARD_KINDS, Giver, check
from lipar.config import Config, PartConfig
from lipar.kv_cache import KVCache
from lipar.layout import TokenLayout
from lipar.parts import Parts, make_parts
from lipar.plugins import PluginHost, load_plugins
from lipar.protocols import BlockAttention
from lipar.rope import RotaryEmbedding
from lipar.types import Latents, Rotation, Tokens

CACHE_FREE = Config(noise=PartConfig("noisy-chain"))
"""What `enable` does unless told otherwise: no frame stands before the block, so copies come from inside it."""


class DoorWarning(UserWarning):
    """What was asked for has no effect."""


@attrs.define(eq=False, kw_only=True)
class Hold:
    """What a model object is held by: the chosen parts, the layout, and a count of what was saved.

    A forward of the model asks it three things, in this order: the layout, an attention, the restored output.
    """

    config: Config
    parts: Parts
    layout: TokenLayout | None
    """None: every token is kept."""
    forwards: int = attrs.field(default=0, init=False)
    kept_tokens: int = attrs.field(default=0, init=False)
    all_tokens: int = attrs.field(default=0, init=False)
    _everything: TokenLayout | None = attrs.field(default=None, init=False)

    def layout_for(self, grid: tuple[int, int, int], device: torch.device) -> TokenLayout:
        """The layout of the coming forward, on the model's device."""
        if self.layout is None:
            whole = self._everything
            if whole is None or whole.grid != grid or whole.keep_mask.device != device:
                whole = self._everything = TokenLayout.keep_all(grid, has_history=False, device=device)
            return whole
        if self.layout.keep_mask.device != device:
            self.layout = attrs.evolve(self.layout, keep_mask=self.layout.keep_mask.to(device))
        return self.layout

    def attention(
        self, layout: TokenLayout, rotation: Rotation, rope: RotaryEmbedding, num_layers: int
    ) -> BlockAttention:
        """Self-attention of one forward over its own block alone."""
        self.forwards += 1
        self.kept_tokens += layout.kept_count
        self.all_tokens += layout.token_count
        cache = KVCache(num_layers, rope, sink_frames=0, window_frames=0, persistent=False)
        return BlockContext(cache, layout, self.parts.recovery, self.parts.noise, rotation=rotation)

    def restore(self, layout: TokenLayout, kept: Tokens) -> Tensor:
        """The model's output for the whole block; a pruned token takes that of its source."""
        return self.parts.restorer(layout, None, kept)


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

    def attach(self, target: Any, hold: Hold) -> None:
        """Prune every forward of the object by `hold`.

        Raises:
            TypeError: its kind is right, but something in it was replaced.
            ValueError: lipar drives it already, in another way.
        """
        ...

    def hold_of(self, target: Any) -> Hold | None:
        """What `attach` was given; None where it was not called, or `detach` was."""
        ...

    def detach(self, target: Any) -> None:
        """Undo `attach`, without a trace; nothing happens where there is nothing to undo."""
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
    config: Config | None = None,
    *,
    source: Latents | None = None,
    layout: TokenLayout | None = None,
    host: PluginHost | None = None,
) -> Any:
    """Prune every forward of a model by a layout, until `disable`; called again, it replaces what was set before.

    The output is full: pruned tokens take the output of the kept token they are restored from. For inference.

    Args:
        target: a `diffusers.WanTransformer3DModel`, or what another adapter recognises.
        config: recovery, noise source and restorer; None: `m-degree` with copies from inside the block.
        source: clean latents to read the layout from. Not there yet.
        layout: which tokens of the block are kept; the first frame whole, since nothing stands before it.
            None: all, with a warning.
        host: the plugins; None: all that are installed.

    Returns:
        `target`.

    Raises:
        TypeError: no adapter recognises the object.
        ConfigError: a part needs what a forward by itself does not have, such as frames before it.
        ValueError: a layout that prunes in the first frame. A forward of other tokens than the layout's raises it, too.
    """
    host = host or load_plugins()
    door = _door_to(target, host)
    if source is not None:
        raise NotImplementedError(
            "enable cannot read a source video yet; make a TokenLayout and pass layout=..."
        )
    config = config or CACHE_FREE
    parts = make_parts(host, config)
    check(host, config, parts, Giver("lipar.enable", DOOR), kinds=FORWARD_KINDS)
    if layout is None:
        warnings.warn("no layout was given: every token is kept, nothing is saved", DoorWarning, stacklevel=2)
    else:
        # the model sees one block and nothing before it, whatever video the layout was made for
        layout = attrs.evolve(layout, has_history=False)
    door.detach(target)
    door.attach(target, Hold(config=config, parts=parts, layout=layout))
    return target


def disable(target: Any, *, host: PluginHost | None = None) -> Any:
    """Leave a model as it was before `enable`; nothing happens where it was not enabled.

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
    offered: list[Any] = [part.part for part in host.registries["adapter"]]
    doors: list[Door] = [part for part in offered if isinstance(part, Door)]
    for door in doors:
        if door.recognises(target):
            return door
    supported = (
        ", ".join(dict.fromkeys(door.door_targets for door in doors)) or "nothing (no adapter offers a door)"
    )
    hint = ""
    if hasattr(target, "_orig_mod"):
        hint = "; this one was compiled as a whole: pass the module itself, and compile its blocks"
    elif hasattr(target, "transformer"):
        hint = "; of a pipeline, pass its transformer"
    raise TypeError(f"lipar cannot take hold of a {type(target).__name__}; supported: {supported}{hint}")
