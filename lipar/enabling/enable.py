"""`lipar.enable` and `lipar.disable`: pruning inside a model object that the user made."""

import warnings
from collections.abc import Mapping
from typing import Any, Unpack

import attrs
from torch import Tensor

from lipar.config import Config, ConfigError
from lipar.config_tables import NO_PART, OPTIONAL_PARTS
from lipar.enabling.session import Session
from lipar.enabling.settings import EnableOptions, config_of
from lipar.enabling.target import EnableWarning, target_for
from lipar.enabling.target_info import TargetInfo
from lipar.layout import TokenLayout
from lipar.masks.source import check_source_latents
from lipar.plugin.compatibility import FORWARD_KINDS, MASK_KINDS, Giver, check
from lipar.plugin.host import PluginHost, load_plugins
from lipar.plugin.parts import make_parts
from lipar.types import Latents


def enable(
    target: Any,
    config: Config | Mapping[str, Any] | None = None,
    *,
    source: Any = None,
    layout: TokenLayout | None = None,
    host: PluginHost | None = None,
    **options: Unpack[EnableOptions],
) -> Any:
    """Prune a model's forwards until `lipar.disable`; a second call replaces the first. For inference only.

    The whole clip is one block, and its first latent frame is always computed in full. Tokens that repeat in the source
    are not computed: they get the velocity that leads to the clean latents of the token that they repeat.

    Args:
        target: a stock Wan or LTX-Video pipeline of diffusers (text- or image-to-video; Wan's video-to-video), whose
            own calls are pruned; a transformer of these, whose forwards are all pruned except in the calls of an
            enabled pipeline; or an object that another plugin supports.
        config: thresholds and parts, as a `lipar.Config`, or as a dict of tables as in a config file. Defaults fit
            the model: a noise source that needs a KV cache becomes `filtering`, which copies inside the clip; a part
            that you chose stays.
        source: the video whose redundancy is used, of the length and size that are generated: a path, pictures, an
            array or a tensor of pixels in [0, 1] or uint8 (see `lipar.video.given_frames.pixel_frames`), or clean
            latents `1 t c h w` in the scale that the model sees. None: a video-to-video pipeline uses the video of each
            call; others need `full_steps` or `layout`.
        layout: which tokens are kept, instead of a source; the first frame must be kept in full.
        host: the plugins; None: all that are installed.
        options: single keys of a config: `keep`, `quantile`, `tau_short`, `tau_long`, `full_steps`, `criterion`,
            `noise` and others of `lipar.enabling.settings.EnableOptions`. They override a dict. With
            `decode="regions"` the pipeline's autoencoder decodes only what changed from frame to frame.

    Returns:
        `target`. Without source, layout and `full_steps` every token is computed, and a warning says so.

    Raises:
        TypeError: no target recognises the object, the pipeline's scheduler does not use flow matching, or something in
            the model was replaced (a later call raises these as well, since parts can be exchanged); or a source,
            config or keyword of a kind that cannot be read.
        ConfigError: a chosen part needs something that the model does not give, such as frames before the clip; or a
            key or value that is not allowed.
        ValueError: a source that does not fit, or a layout that prunes in the first frame. A forward with a different
            number of tokens than the layout or source raises it as well.
        RuntimeError: only from a forward: it prunes while gradients are on and something requires one, or a feature is
            on that cannot work on kept tokens.

    Examples:
        The bundled model edits a clip in which a square moves. Half of the tokens after the first latent frame are
        computed:

        >>> import lipar, torch
        >>> from lipar_adapters.tiny.pipeline import video_to_video_pipeline
        >>> pipe = video_to_video_pipeline()
        >>> video = torch.full((9, 3, 64, 64), 0.4)  # frames, RGB, height, width in [0, 1]
        >>> for index, frame in enumerate(video):
        ...     frame[:, 20:36, 4 * index : 4 * index + 16] = 0.9
        >>> pipe = lipar.enable(pipe, keep=0.5)
        >>> clip = pipe(
        ...     video=video, prompt="watercolour", height=64, width=64, num_inference_steps=4, strength=0.5
        ... ).frames[0]
        >>> clip.shape
        (9, 64, 64, 3)
        >>> print(lipar.summary(pipe))  # doctest: +ELLIPSIS +NORMALIZE_WHITESPACE
        WanVideoToVideoPipeline: lipar is on (m-degree, filtering, copy);
        4 forwards computed ... of 192 tokens (6...%), 0... s each
        >>> pipe = lipar.disable(pipe)
        >>> print(lipar.summary(pipe))
        WanVideoToVideoPipeline: lipar is off
    """
    host = host or load_plugins()
    chosen = target_for(target, host)
    if source is not None and layout is not None:
        raise ValueError("give either a source or a layout; a layout says already what the source would")
    info = chosen.describe(target)
    config = config_of(config, options, host, info.facts)
    if config.run.engine not in ("auto", "eager"):
        raise ConfigError(
            f"run.engine = {config.run.engine!r} is for models that lipar runs block by block; to compile the layers "
            "of this one, call compile_repeated_blocks() on its transformer, before or after lipar.enable"
        )
    for kind in OPTIONAL_PARTS:
        if (name := getattr(config, kind).name) != NO_PART:
            raise ConfigError(
                f"{kind} {name!r} works in models that lipar runs block by block (lipar edit, lipar.Scheduler), where "
                f"it knows a block's steps; leave {kind} out of lipar.enable"
            )
    parts = make_parts(host, config)
    kinds = FORWARD_KINDS if layout is not None else FORWARD_KINDS | MASK_KINDS
    giver = Giver(f"lipar.enable on this {type(target).__name__}", info.facts)
    check(host, config, parts, giver, kinds=kinds)
    if layout is not None:
        # the model sees one block and no frames before it, whatever video the layout was made for
        layout = attrs.evolve(_checked_layout(layout), has_history=False)
    session = Session(config=config, parts=parts, info=info, layout=layout)
    if source is not None:
        session.take_source(_latents_of(source, info))
    elif layout is None and not info.brings_source and not session.self_redundancy.is_on:
        warnings.warn(
            "no source and no layout was given: every token is kept, nothing is saved; pass source=video, or set "
            "full_steps (self_redundancy.full_steps in a config)",
            EnableWarning,
            stacklevel=2,
        )
    if config.decode.regions == "on" and info.encode is None:
        warnings.warn(
            "decode='regions' has no effect: this object has no autoencoder; enable its pipeline",
            EnableWarning,
            stacklevel=2,
        )
    chosen.detach(target)
    chosen.attach(target, session)
    return target


def disable(target: Any, *, host: PluginHost | None = None) -> Any:
    """Restore a model as it was before `lipar.enable`; does nothing if it was not enabled.

    Other objects stay enabled, such as a pipeline that uses this transformer.

    Args:
        target: the object that was enabled.
        host: the plugins; None: all that are installed.

    Returns:
        `target`.

    Raises:
        TypeError: no target recognises the object.
    """
    target_for(target, host or load_plugins()).detach(target)
    return target


def _latents_of(source: Any, info: TargetInfo) -> Latents:
    """The source as clean latents `1 t c h w`; channels tell whether a tensor of five axes has latents or pixels."""
    if isinstance(source, Tensor) and source.ndim == 5:
        # grey, RGB or RGBA; or RGB with its channels last
        pixels = source.shape[2] in (1, 3, 4) or source.shape[4] == 3
        if info.channels in source.shape[1:3] or not pixels:
            check_source_latents(source, info.channels)
            return source.detach()
    if info.encode is None:
        raise ValueError(
            "this object has no autoencoder to encode a video with; pass source latents 1 t c h w, or its pipeline"
        )
    return info.encode(source)


def _checked_layout(layout: Any) -> TokenLayout:
    if not isinstance(layout, TokenLayout):
        raise TypeError(
            f"layout is a lipar.TokenLayout; got {type(layout).__name__}: a mask `frames rows cols`, True where a "
            "token is computed, becomes one by lipar.TokenLayout(keep_mask, has_history=False)"
        )
    return layout
