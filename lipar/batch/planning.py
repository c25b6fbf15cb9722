"""The clips of a batch, with their configs, from a manifest or from clips that share a prompt."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lipar.batch.manifest import OWN_COLUMNS, Line
from lipar.batch.places import check_apart, check_distinct, output_in, output_name
from lipar.batch.rows import ClipRow
from lipar.bounds import shown
from lipar.config import Config
from lipar.prompts import PromptSchedule
from lipar.video.encoding import Encoding
from lipar.video.errors import VideoError

Setting = str | Mapping[str, Any]


@attrs.define
class Planning:
    """Makes the rows of a batch; configs that are equal are made once.

    Args:
        folder: of the results.
        encoding: of the results.
        prompts: for lines without a prompt; None: each must have one.
        build: the config of some settings, over those of the command.
        check: refuses a config that cannot run; called once for each.
    """

    folder: Path
    encoding: Encoding
    prompts: PromptSchedule | None
    build: Callable[[Sequence[Setting]], Config]
    check: Callable[[Config], None]
    _configs: dict[str, Config] = attrs.field(factory=dict, init=False)

    def of_manifest(self, lines: Sequence[Line], home: Path) -> list[ClipRow]:
        """The rows of a manifest.

        Args:
            lines: of the manifest.
            home: the folder of the manifest, from which clips are named.

        Raises:
            ManifestError: a cell is wrong; the message names it.
            VideoError: two results have one name, or a result is a clip.
        """
        rows = [self._row(line, home) for line in lines]
        self._check_results(rows, "give each a name of its own in the column output")
        return rows

    def of_clips(self, clips: Sequence[Path]) -> list[ClipRow]:
        """The rows of clips that share prompt and config.

        Args:
            clips: files.

        Raises:
            ConfigError: the config cannot run.
            VideoError: two results have one name, or a result is a clip.
        """
        assert self.prompts is not None, "checked by the command"
        config = self._config([])
        rows = [
            ClipRow(
                source=clip,
                output=self.folder / output_name(clip, self.encoding),
                prompts=self.prompts,
                config=config,
            )
            for clip in clips
        ]
        self._check_results(rows, "rename one of them, or write a manifest with a column output")
        return rows

    def _check_results(self, rows: Sequence[ClipRow], advice: str) -> None:
        check_distinct(((row.source, row.output, row.where) for row in rows), self.folder, advice)
        check_apart((row.source for row in rows), (row.output for row in rows))

    def _row(self, line: Line, home: Path) -> ClipRow:
        source = home / Path(line.text("clip") or "").expanduser()
        name = line.text("output") or output_name(source, self.encoding)
        try:
            output = output_in(self.folder, name, self.encoding)
        except VideoError as error:
            raise line.error("output", error) from error
        settings = _settings(line)
        return ClipRow(
            source=source,
            output=output,
            prompts=self._prompts(line),
            config=self._config_of(line, settings),
            settings=";".join(_shown(setting) for _, setting in settings),
            where=line.where,
        )

    def _prompts(self, line: Line) -> PromptSchedule:
        value = line.cells.get("prompt")
        if value is None:
            if self.prompts is None:
                raise line.error("prompt", "is empty; write a prompt, or give --prompt for lines without one")
            return self.prompts
        try:
            if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
                return PromptSchedule.parse(value)
            return PromptSchedule.parse([line.text("prompt") or ""])
        except ValueError as error:
            if str(error).startswith(line.where):
                raise
            raise line.error("prompt", error) from error

    def _config_of(self, line: Line, settings: list[tuple[str, Setting]]) -> Config:
        chosen: list[Setting] = [setting for _, setting in settings]
        try:
            return self._config(chosen)
        except (ValueError, LookupError) as error:
            # which of them it is: the first with which it fails
            for index, (column, _) in enumerate(settings):
                try:
                    self._config(chosen[: index + 1])
                except (ValueError, LookupError) as first:
                    raise line.error(column, first.args[0] if first.args else first) from first
            raise line.error(settings[-1][0] if settings else "clip", error) from error

    def _config(self, settings: Sequence[Setting]) -> Config:
        key = repr(settings)
        if key not in self._configs:
            config = self.build(settings)
            self.check(config)
            self._configs[key] = config
        return self._configs[key]


def _settings(line: Line) -> list[tuple[str, Setting]]:
    """What a line sets of the config, each with its column: the model first, as on the command line."""
    found: list[tuple[str, Setting]] = []
    if (model := line.text("model")) is not None:
        found.append(("model", {"adapter": model}))
    for column, value in line.cells.items():
        if column not in OWN_COLUMNS:
            found.append((column, _of_column(column, value)))
    if (value := line.cells.get("set")) is not None:
        found += [("set", setting) for setting in _of_set(line, value)]
    if (seed := line.cells.get("seed")) is not None:
        found.append(("seed", _of_column("seed", seed)))
    return found


def _of_column(column: str, value: Any) -> Setting:
    if isinstance(value, str):
        return f"{column}={value}"
    table = value
    for part in reversed(column.split(".")):
        table = {part: table}
    setting: dict[str, Any] = table
    return setting


def _of_set(line: Line, value: Any) -> list[Setting]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(";") if part.strip()]
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return list(value)
    raise line.error(
        "set", f"must be text such as prune.keep=0.5;seed=3, or a list of such, got {shown(value)}"
    )


def _shown(setting: Setting) -> str:
    if isinstance(setting, str):
        return setting
    path: list[str] = []
    value: Any = setting
    while isinstance(value, Mapping) and len(value) == 1:
        ((key, value),) = value.items()
        path.append(str(key))
    return f"{'.'.join(path)}={value}"
