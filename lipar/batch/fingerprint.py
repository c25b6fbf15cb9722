"""What a result depends on: content of the source and of the weights, options, config, versions, device."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar import __version__
from lipar.batch.record import Record
from lipar.config import Config
from lipar.events import EditOptions
from lipar.files.content import Content
from lipar.plugin.host import PluginHost


@attrs.frozen(kw_only=True)
class Fingerprint:
    """What one result is made of."""

    made_of: Mapping[str, Any]
    """Equal only where everything is."""
    contents: Mapping[str, Content]
    """Of the files that were read for it, by their paths."""


class Fingerprints:
    """Makes the fingerprints of results; a file is read again only if it was touched.

    Args:
        host: the plugins.
    """

    def __init__(self, host: PluginHost) -> None:
        self._plugins = sorted((str(plugin.name), plugin.version) for plugin in host.plugins)
        self._known: dict[str, Content] = {}

    def of(
        self,
        config: Config,
        options: EditOptions,
        *,
        weights: Sequence[Path],
        on: Sequence[str],
        known: Record | None,
    ) -> Fingerprint:
        """The fingerprint of a result.

        Args:
            config: names and numbers of the run.
            options: of the edit; the names of source and output do not matter.
            weights: files and folders that the model is read from.
            on: kind of device and number type.
            known: the record of an earlier run, with contents that need not be read again.
        """
        assert options.source is not None
        earlier = {} if known is None else known.contents
        read = {str(path): self._content(path, earlier) for path in _files(weights)}
        source = self._content(options.source, earlier)
        rest = {
            "options": attrs.asdict(attrs.evolve(options, source=None, output=Path())),
            "config": attrs.asdict(config),
            "versions": [__version__, torch.__version__, self._plugins],
            "on": list(on),
        }
        made_of = {
            "source": None if source is None else source.digest,
            "weights": digest_of([None if content is None else content.digest for content in read.values()]),
            "rest": digest_of(rest),
        }
        contents = {**read, str(options.source): source}
        return Fingerprint(
            made_of=made_of, contents={name: one for name, one in contents.items() if one is not None}
        )

    def _content(self, path: Path, earlier: Mapping[str, Content]) -> Content | None:
        name = str(path)
        try:
            found = Content.of(path, self._known.get(name, earlier.get(name)))
        except OSError:  # missing: reading it will say so
            return None
        self._known[name] = found
        return found


def digest_of(value: Any) -> str:
    """A number that changes with a value, in hexadecimal.

    Args:
        value: what JSON has, and what has a text.
    """
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()


def _files(places: Sequence[Path]) -> Iterator[Path]:
    """All files at some places, each once, in the order of their names."""
    found = (
        sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        for place in places
    )
    yield from dict.fromkeys(path for files in found for path in files)
