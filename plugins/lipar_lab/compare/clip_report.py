"""Collects what the runs of a clip gave, for its page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from torch import Tensor

from lipar.masks.source import SourceFormat
from lipar.metrics.stillness import PixelClip
from lipar.metrics.table import Clips
from lipar.protocols import Model
from lipar_lab.compare.figures import Figures
from lipar_lab.compare.finished_runs import ShownRun
from lipar_lab.compare.masks import PageMask, latent_frame_of_each, pixel_mask
from lipar_lab.compare.page_content import PageContent, PageRun
from lipar_lab.compare.videos import SourceClip, mp4_of, page_size, read_source


class ClipReport:
    """Measures and encodes each run of a clip as soon as it is finished; then gives the content of the page.

    Args:
        model: that made the runs.
        path: the clip.
        figures: what is measured.
        page_height: height of the videos in the page; None: as processed.
    """

    def __init__(self, model: Model, path: Path, figures: Figures, page_height: int | None) -> None:
        self._model, self._path, self._figures = model, path, figures
        self._source: SourceClip = read_source(model, path)
        height, width = self._source.pixels.shape[-2:]
        self._page_size = page_size(width, height, page_height)
        self._dense_pixels: dict[str, PixelClip] = {}
        self._dense: list[PageRun] = []
        self._variants: list[PageRun] = []
        self._latent_of: list[int] = []
        self._measured_from = 0

    def add(self, shown: ShownRun) -> None:
        """Measure a run and encode its video.

        Args:
            shown: a dense run comes before those that are compared with it.
        """
        source = self._source.pixels
        pixels = shown.pixels[0, : len(source)]  # the rest are copies that fill the last block
        keep_mask = shown.run.keep_mask
        if not self._latent_of:
            spans = SourceFormat(
                patch_size=self._model.patch_size, autoencoder=self._model.autoencoder
            ).frame_spans(0, len(keep_mask))
            self._latent_of = latent_frame_of_each(spans, len(source))
            self._measured_from = spans[shown.run.blocks[0] - 1][1]
        if shown.dense is None:
            self._dense_pixels[shown.name] = pixels
            figures = self._measured(pixels, source=source)
            made = PageRun(
                name=shown.name,
                video=self._video(pixels),
                figures=figures,
                stage_seconds=shown.run.stage_seconds,
            )
            self._dense.append(made)
            return
        mask = pixel_mask(keep_mask, self._latent_of, (pixels.shape[-2], pixels.shape[-1]))
        figures = self._measured(pixels, source=source, dense=self._dense_pixels[shown.dense], keep=mask)
        made = PageRun(
            name=shown.name,
            video=self._video(pixels),
            mask=PageMask.of(keep_mask[: self._latent_of[-1] + 1]),
            row=shown.row,
            figures=figures,
            stage_seconds=shown.run.stage_seconds,
            config=flat(attrs.asdict(shown.config)),
        )
        self._variants.append(made)

    def content(self, prompt: str, provenance: Mapping[str, str]) -> PageContent:
        """The content of the page, once all runs were added.

        Args:
            prompt: of all runs.
            provenance: of all runs.
        """
        source = self._source.pixels
        height, width = source.shape[-2:]
        return PageContent(
            clip=self._path.stem,
            prompt=prompt,
            frame_rate=self._source.frame_rate,
            latent_of=self._latent_of,
            measured_from=self._measured_from,
            size=(width, height),
            file_size=self._source.file_size,
            source=PageRun(
                name="source", video=self._video(source), figures=self._measured(source, source=source)
            ),
            dense=self._dense,
            variants=self._variants,
            provenance=provenance,
        )

    def _video(self, pixels: PixelClip) -> bytes:
        return mp4_of(pixels, frame_rate=self._source.frame_rate, size=self._page_size)

    def _measured(self, pixels: PixelClip, **others: Tensor) -> dict[str, float | None]:
        """The figures of the frames after the first block; none where there are no such frames."""
        first = self._measured_from
        if first >= len(pixels):
            return dict.fromkeys(self._figures.names)
        later: dict[str, Any] = {name: clip[first:] for name, clip in others.items()}
        return self._figures.measure(Clips(result=pixels[first:], **later))


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A config as dotted keys and text; parts by their names, with the options that were set.

    Args:
        config: nested, as `attrs.asdict` gives it.
        prefix: of the keys.
    """
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and "name" in value:
            found[prefix + key] = _part(value)
        elif isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif key == "refiners":
            found[prefix + key] = " → ".join(map(_part, value)) or "none"
        else:
            found[prefix + key] = "not set" if value is None else str(value)
    return found


def _part(part: Mapping[str, Any]) -> str:
    options = ", ".join(f"{key}={value}" for key, value in part["options"].items())
    return f"{part['name']} ({options})" if options else str(part["name"])
