"""An analysis from clips to tables, plots and page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from tqdm import tqdm

from lipar.cli.output import complain
from lipar.files.owner import Outputs
from lipar.video.errors import VideoError, explain
from lipar_lab.analyze import tables
from lipar_lab.analyze.clip import ClipResult, Experiments, analyze_clip
from lipar_lab.analyze.coding import Coder
from lipar_lab.analyze.heat_map import map_frames, write_map
from lipar_lab.analyze.plots import correlation_plot, similarity_plot
from lipar_lab.analyze.record import FinishedClips
from lipar_lab.analyze.report import Findings, page
from lipar_lab.analyze.sweep import Bound

FILES = (
    *("results.json", "correlation.csv", "similarity.csv", "largest.csv", "tables.md", "report.html"),
    *("correlation.png", "correlation.svg", "similarity.png", "similarity.svg"),
)
"""Written when all clips are done; in addition, each clip has a map and a file in `clips`."""


@attrs.frozen(eq=False, kw_only=True)
class Analysis:
    """What is analysed, and how."""

    coder: Coder
    experiments: Experiments
    bounds: tuple[Bound, ...]
    depends_on: dict[str, Any]
    """What all clips depend on, such as weights; a clip is run again when it changes."""
    made_with: dict[str, str]
    """For the page."""


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of an analysis."""

    lines: list[str]
    """The tables as Markdown."""
    clips: int
    found: int
    """Number of clips that had been finished before."""
    failed: dict[str, str]
    """By clip: why it could not be analysed."""


def run_analysis(analysis: Analysis, clips: Sequence[Path], folder: Path, *, quiet: bool = False) -> Outcome:
    """Analyse the clips that are not finished in the folder, and write all files.

    Args:
        analysis: what to do.
        clips: paths of videos. One that cannot be read is left out, unless none can.
        folder: made if it does not exist.
        quiet: no progress bar.

    Raises:
        VideoError: the folder cannot be written to, another run is writing there, or no clip could be analysed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error
    folder = folder.resolve()
    with Outputs() as outputs:
        unfinished = {name: outputs.claim(folder / name) for name in FILES}
        run = _Clips(analysis, FinishedClips(folder, analysis.depends_on), outputs)
        results = list(run.results(clips, quiet))
        if not results:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in run.failed.items())
            raise VideoError(f"no clip could be analysed: {reasons}")
        lines = _write(analysis, results, run, unfinished)
        outputs.publish()
    return Outcome(lines=lines, clips=len(results), found=run.found, failed=run.failed)


class _Clips:
    """The clips of a run, one after the other."""

    def __init__(self, analysis: Analysis, finished: FinishedClips, outputs: Outputs) -> None:
        self._analysis, self.finished, self._outputs = analysis, finished, outputs
        self.failed: dict[str, str] = {}
        self.found = 0

    def results(self, clips: Sequence[Path], quiet: bool) -> Iterator[ClipResult]:
        """The result of each clip that can be read.

        Args:
            clips: paths.
            quiet: no progress bar.
        """
        steps = len(self._analysis.experiments.thetas) + 1  # reading
        with tqdm(total=steps * len(clips), desc="analyze", disable=quiet or None, unit="step") as bar:
            for index, (name, path) in enumerate(unique_names(clips).items()):
                bar.set_postfix_str(name)
                result = self.finished.find(path, name)
                if result is not None:
                    self.found += 1
                else:
                    result = self._analyse(name, path, bar)
                bar.update(steps * (index + 1) - bar.n)
                if result is not None:
                    yield result

    def _analyse(self, name: str, path: Path, bar: "tqdm[Any]") -> ClipResult | None:
        coder = self._analysis.coder
        try:
            clip = coder.read(path)
        except (ValueError, OSError) as error:
            self.failed[name] = str(error)
            complain(f"left out: {error}", fg="yellow")
            return None
        bar.update()
        with Outputs() as outputs:
            result, change = analyze_clip(name, clip, coder, self._analysis.experiments, bar.update)
            pictures = map_frames(clip, change / result.brightest, coder)
            write_map(self.finished.map_path(name), pictures, clip, outputs)
            self.finished.write(path, result, outputs)
            outputs.publish()
        self._outputs.keep(self.finished.record_path(name))
        return result


def unique_names(clips: Sequence[Path]) -> dict[str, Path]:
    """A name for each clip, that of its file; with a number where two are equal.

    Args:
        clips: paths.
    """
    found: dict[str, Path] = {}
    for path in clips:
        name, number = path.stem, 1
        while name in found:
            number += 1
            name = f"{path.stem}-{number}"
        found[name] = path
    return found


def _write(
    analysis: Analysis, results: Sequence[ClipResult], run: _Clips, unfinished: Mapping[str, Path]
) -> list[str]:
    metrics = [analysis.experiments.table[name] for name in analysis.experiments.metrics]
    correlations = tables.correlations(results)
    largest = tables.largest(results, metrics, analysis.bounds)
    sweeps = tables.sweeps(results, metrics)
    plots = {
        "correlation": correlation_plot(results),
        "similarity": similarity_plot(results, metrics, analysis.bounds),
    }
    lines = [*correlations.markdown(), "", *largest.markdown()]
    texts = {
        "correlation.csv": correlations.csv(),
        "similarity.csv": sweeps.csv(),
        "largest.csv": largest.csv(),
        "tables.md": "\n".join([*lines, "", *sweeps.markdown(), ""]),
        "results.json": json.dumps(_record(analysis, results, run.failed), indent=1) + "\n",
        "report.html": page(
            Findings(
                autoencoder=analysis.coder.name,
                correlations=correlations,
                correlation_plot=plots["correlation"],
                largest=largest,
                sweeps=sweeps,
                similarity_plot=plots["similarity"],
                metrics=metrics,
                maps={
                    one.name: (run.finished.map_path(one.name).read_bytes(), one.brightest) for one in results
                },
                failed=run.failed,
                made_with=analysis.made_with,
            )
        ),
    }
    for name, text in texts.items():
        unfinished[name].write_text(text, "utf-8")
    for name, plot in plots.items():
        unfinished[f"{name}.png"].write_bytes(plot.png)
        unfinished[f"{name}.svg"].write_bytes(plot.svg)
    return lines


def _record(analysis: Analysis, results: Sequence[ClipResult], failed: Mapping[str, str]) -> dict[str, Any]:
    return {
        "autoencoder": analysis.coder.name,
        "bounds": [attrs.asdict(bound) for bound in analysis.bounds],
        "clips": [one.to_json() for one in results],
        "failed": dict(failed),
        "made_with": analysis.made_with,
    }
