"""`lipar.edit`: a video file in, an edited video file out, in one call."""

import difflib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.config import Config, PruneConfig, RunConfig, build_config
from lipar.editing.model import pick_device, pick_dtype
from lipar.editing.run import edit_video
from lipar.engines.engine import check_device
from lipar.events import EditOptions, EditReport, MaskChoice
from lipar.memory.needs import MemoryRun
from lipar.memory.report import warn_of_memory
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost, load_plugins
from lipar.prompts import PromptSchedule
from lipar.protocols import Model
from lipar.video.encoders import check_encoder
from lipar.video.encoding import Encoding
from lipar.video.moment import Moment
from lipar.video.sinks.targets import target_of
from lipar.video.sources.part import Part
from lipar.video.sources.raw_format import frame_rate_of
from lipar.video.sources.reading import Reading
from lipar.watch.progress import ProgressBar


def edit(
    path: str | Path | None,
    prompt: str | Sequence[tuple[str | int, str]] | PromptSchedule,
    out: str | Path,
    *,
    model: str | Model | None = None,
    config: Config | Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    overlay: str | Path | None = None,
    mask: str | Path | MaskChoice | None = None,
    dense: bool = False,
    resolution: tuple[int, int] | None = None,
    keep_source_size: bool = True,
    codec: str | None = None,
    quality: str | int | None = None,
    part: str | None = None,
    frame_rate: int | float | Fraction | None = None,
    preview: str | None = None,
    quiet: bool = False,
    host: PluginHost | None = None,
    **options: Any,
) -> EditReport:
    """Edit a video by a prompt, computing only the tokens that changed; does what `lipar edit` does.

    The result has the source's size, frames, timestamps and sound. It appears under its name when it is complete.

    ```python
    import lipar

    report = lipar.edit("in.mp4", "watercolour", "out.mp4", keep=0.5, strength=0.3, quiet=True)
    print(f"{report.kept_fraction:.0%} of the tokens computed in {report.seconds:.1f} s")
    ```

    Args:
        path: the source: a video, a WebP animation, a folder or pattern of pictures, or `camera:DEVICE`; None: a clip
            that lipar generates.
        prompt: what the result should look like; or pairs of a moment and a prompt that is valid from then on, such as
            `[(0, "night"), ("4s", "snow")]` (see `lipar.prompts.PromptSchedule`).
        out: where to write the result; the suffix names the container, such as `.mp4`. A folder, or a name such as
            `frames/%05d.png`, is for numbered pictures.
        model: name of an adapter or of a model in the catalogue (`lipar models` lists them), or a model of
            `lipar.load_model`, which several edits can share; None: the adapter of the config, by default `tiny`.
        config: a `lipar.Config`, or a dict of its tables as a config file has them; None: the defaults.
        device: such as `cpu` or `cuda:1`, for a model that is loaded here; None: CUDA if there is a device.
        dtype: such as `float32`, likewise; None: bfloat16 on CUDA, else float32.
        overlay: where to write the edited clip with its pruned tokens shaded.
        mask: a video or a picture of what may change: white may, black stays as it is in the source; or a
            `lipar.events.MaskChoice`, which can invert it and fade the edit in.
        dense: compute every token.
        resolution: width and height in pixels to process at; None: the model's own area in the source's shape.
        keep_source_size: write at the source's size rather than at the size processed.
        codec: how the pictures are encoded, such as `hevc`, or `h264_nvenc` on a GPU; None: `h264`.
        quality: a number of the codec's own scale, its preset, or both, such as `medium:18`; None: the codec's default.
        part: of the source, as `2s-5s`, `-5s`, `2s-` or, in frames, `12f-40f`; None: all of it.
        frame_rate: of a folder of pictures or a camera, in frames per second; None: 25, or the camera's own.
        preview: write only a picture of this moment (`2.5s` or `40f`): source, result and mask; `out` ends in .png or
            .jpg then.
        quiet: show no progress bar.
        host: the plugins; None: all that are installed.
        options: keys of the config over `config`: `keep`, `quantile` and the thresholds of its table `prune`, and
            `engine` of its table `run`, directly; the others by their own names, such as `strength=0.3`, `seed=7` or
            `noise="kv-cache"`.

    Returns:
        What was computed, the time per stage, and the speed-up over computing every token where it could be measured.

    Warns:
        MemoryWarning: the run will probably not fit into memory; says which settings save how much.

    Raises:
        TypeError: a keyword that the config does not have, keywords besides a `lipar.Config`, or no prompt.
        ConfigError: a value is wrong, or parts do not fit together or the model.
        VideoError: the source cannot be read or the result not written, or the codec does not work here.
        ValueError: a prompt is empty or its moment is none, there is no such device, or the resolution does not fit
            the model.
    """
    first, *later = PromptSchedule.of(prompt).entries
    asked = EditOptions(
        prompt=first.text,
        later_prompts=tuple(later),
        output=target_of(out),
        source=None if path is None else Path(path),
        overlay=None if overlay is None else Path(overlay),
        mask=MaskChoice(path=Path(mask)) if isinstance(mask, str | Path) else mask,
        dense=dense,
        resolution=resolution,
        keep_source_size=keep_source_size,
        encoding=Encoding.of(codec, quality, Path(out)),
        reading=Reading(
            part=None if part is None else Part.of(part),
            frame_rate=None if frame_rate is None else frame_rate_of(str(frame_rate)),
        ),
        preview=None if preview is None else Moment.of(preview),
    )
    asked.encoding.check_container(asked.output, asked.overlay)
    check_encoder(asked.encoding)
    host = host or load_plugins()
    named = model if isinstance(model, str) else None
    chosen = _config_of(config, ({} if named is None else {"adapter": named}) | options)
    if model is None or isinstance(model, str):
        adapter = check_config(host, chosen, dense=dense)
        place = pick_device(device)
        check_device(chosen.run.engine, place, adapter.why_eager())
        number_type = pick_dtype(dtype, place)
        warn_of_memory(
            adapter,
            MemoryRun(config=chosen, device=place, dtype=number_type, resolution=resolution, dense=dense),
        )
        asked = attrs.evolve(asked, memory_checked=True)
        model = adapter.load(place, number_type)
    with host.extended(*([] if quiet else [ProgressBar()])):
        return edit_video(model, chosen, asked, host=host)


def _config_of(config: Config | Mapping[str, Any] | None, options: Mapping[str, Any]) -> Config:
    if isinstance(config, Config):
        if options:
            raise TypeError(
                f"a lipar.Config is complete; change it by attrs.evolve, or pass a dict with the keywords "
                f"{', '.join(options)}"
            )
        return config
    return build_config(settings=[*([] if config is None else [config]), settings_of(options)])


def settings_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords as a table of the config: keys of its tables `prune` and `run` go there, such as `keep=0.5`.

    Raises:
        TypeError: the config has no key of that name.
    """
    tables = {field.name: "prune" for field in attrs.fields(PruneConfig)}
    tables |= {field.name: "run" for field in attrs.fields(RunConfig)}
    known = tables.keys() | {field.name for field in attrs.fields(Config)}
    table: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"keys of the config: {', '.join(sorted(known))}"
            raise TypeError(f"lipar.edit has no keyword {key!r}; {hint}")
        value = list(value) if isinstance(value, tuple) else value
        if key in tables:
            table.setdefault(tables[key], {})[key] = value
        elif isinstance(value, Mapping) and isinstance(table.get(key), dict):
            table[key] |= value
        else:
            table[key] = value
    return table
