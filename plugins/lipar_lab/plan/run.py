"""What `lipar plan` does: for each clip its blocks, then the prediction, the search for a target, the check."""

import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.cli.host import plugin_host
from lipar.cli.loading import loading
from lipar.cli.options import ConfigChoice
from lipar.cli.output import say
from lipar.config import Config
from lipar.editing.model import pick_device, pick_dtype
from lipar.engines.engine import check_device, make_engine
from lipar.files.owner import write_whole
from lipar.plugin.compatibility import check_config
from lipar.plugin.host import PluginHost
from lipar.protocols import Model, StreamingAdapter
from lipar_lab.plan.calibration import Calibration, CalibrationError, machine_now
from lipar_lab.plan.check import Check, Measured, load_and_measure, reference_of
from lipar_lab.plan.clip import ClipPlan, ClipReader
from lipar_lab.plan.figures import check_figures, clip_figures, prediction_figures
from lipar_lab.plan.key import CalibrationKey
from lipar_lab.plan.memory import Loading, in_new_process
from lipar_lab.plan.prediction import Prediction, Predictor
from lipar_lab.plan.store import CalibrationFile, calibration_path
from lipar_lab.plan.target import Target, find_keep, replaced, with_keep
from lipar_lab.plan.text import check_lines, clip_lines, prediction_lines, target_lines


@attrs.frozen(kw_only=True)
class PlanOptions:
    """Options of the command besides the config."""

    choice: ConfigChoice = attrs.field(factory=ConfigChoice)
    """As typed, for the command that makes a calibration."""
    resolution: tuple[int, int] | None = None
    device: str | None = None
    dtype: str | None = None
    target_fps: float | None = None
    check: bool = False
    calibration: Path | None = None
    json_file: Path | None = None
    quiet: bool = False


def plan_clips(clips: tuple[Path, ...], config: Config, options: PlanOptions) -> None:
    """Plan each clip, and print it.

    Raises:
        ConfigError: parts do not fit together or the model, or it has no autoencoder.
        CalibrationError: there is no calibration that can be used; the kept fractions were printed.
    """
    host = plugin_host()
    adapter = check_config(host, config)
    device = pick_device(options.device)
    check_device(config.run.engine, device)
    if config.strength == 0:
        say("strength 0 gives the source back: nothing is denoised, so that there is nothing to plan")
        return
    dtype = pick_dtype(options.dtype, device)
    with loading(f"the autoencoder of {config.adapter.name}", quiet=options.quiet):
        model = model_for_masks(adapter, device, dtype)
    Planner(model, config, options, host).run(clips)


def model_for_masks(adapter: StreamingAdapter, device: torch.device, dtype: torch.dtype) -> Model:
    """A model that decides masks, without its transformer where the adapter can load it so.

    Args:
        adapter: of the config.
        device: where the autoencoder and the masks are computed.
        dtype: of the latents.
    """
    return adapter.load_without_transformer(device, dtype) or adapter.load(device, dtype)


class Planner:
    """Plans clips one after another.

    Args:
        model: no forward of it is called.
        config: names and numbers of the run.
        options: of the command.
        host: the plugins.
    """

    def __init__(self, model: Model, config: Config, options: PlanOptions, host: PluginHost) -> None:
        self.model, self.config, self.options, self.host = model, config, options, host
        self.path = calibration_path(options.calibration)
        self.steps = len(model.sigmas(config.strength, config.scaled_steps))
        self.figures: dict[str, Any] = {"machine": machine_now(model.device, model.dtype), "clips": []}

    def run(self, clips: tuple[Path, ...]) -> None:
        """Plan the clips; with a target, search it for each.

        Raises:
            CalibrationError: a clip has no calibration that can be used; all clips' kept fractions were printed.
        """
        missing: list[CalibrationError] = []
        for clip in clips:
            try:
                self._plan(clip)
            except CalibrationError as error:
                missing.append(error)
            self._write()
        if missing:
            raise missing[0]

    def _plan(self, clip: Path) -> None:
        with ExitStack() as stack:
            keeps = self.options.target_fps is not None
            reader = ClipReader(clip, self.model, self.options.resolution, stack, keeps=keeps)
            plan = reader.plan(self.config, host=self.host, quiet=self.options.quiet)
            figures = clip_figures(plan)
            self.figures["clips"].append(figures)
            try:
                predictor = Predictor(self._calibration(plan.size), self.steps)
            except CalibrationError:
                say(*clip_lines(plan, None))
                raise
            prediction = predictor.predict(plan.blocks)
            figures |= prediction_figures(prediction, predictor)
            say(*clip_lines(plan, prediction), *prediction_lines(plan, prediction, predictor))
            if self.options.target_fps is not None:
                target = self._search(reader, prediction, predictor, self.options.target_fps)
                figures["target"] = {"asked": self.options.target_fps, **attrs.asdict(target)}
        if self.options.check:
            check = self._check(plan, prediction, predictor)
            figures["check"] = check_figures(check)
            say(*check_lines(check))

    def _search(
        self, reader: ClipReader, prediction: Prediction, predictor: Predictor, target: float
    ) -> Target:
        plans: dict[float, ClipPlan] = {}

        def evaluate(keep: float) -> float:
            plans[keep] = reader.plan_again(with_keep(self.config, keep), host=self.host)
            return predictor.predict(plans[keep].blocks).frames_per_second

        found = find_keep(evaluate, prediction.dense_frames_per_second, target)
        chosen = plans.get(found.keep if found.keep is not None else found.best_keep or 0.0)
        say(*target_lines(target, found, chosen, prediction, replaced(self.config)))
        return found

    def _check(self, plan: ClipPlan, prediction: Prediction, predictor: Predictor) -> Check:
        where = Loading(
            config=self.config,
            device=str(self.model.device),
            dtype=str(self.model.dtype).removeprefix("torch."),
        )
        with loading("the model, to measure the edit", quiet=self.options.quiet):
            measured: Measured = in_new_process(load_and_measure, where, plan.path, plan.size)
        return Check(
            plan=plan,
            prediction=prediction,
            measured=measured,
            reference=reference_of(predictor, plan),
        )

    def _calibration(self, size: tuple[int, int]) -> Calibration:
        engine = make_engine(self.model, self.config.run.engine).name
        key = CalibrationKey.of(self.config, size, self.model.device, self.model.dtype, engine)
        found = CalibrationFile(self.path).find(key)
        command = self._command(size)
        if found is None:
            raise CalibrationError(f"no calibration in {self.path} for {key}; make it once with: {command}")
        differences = found.differences(machine_now(self.model.device, self.model.dtype))
        if differences:
            raise CalibrationError(
                f"the calibration of {found.machine['date']} in {self.path} is not of this machine as it is now: "
                f"{'; '.join(differences)}; make it again with: {command}"
            )
        return found

    def _command(self, size: tuple[int, int]) -> str:
        """The command that makes the calibration, with the options that were typed."""
        choice, options = self.options.choice, self.options
        words = ["lipar", "bench", "--calibrate", "--model", self.config.adapter.name]
        given: dict[str, Any] = {
            "--config": choice.file,
            "--preset": choice.preset,
            "--resolution": f"{size[0]}x{size[1]}",
            "--device": options.device,
            "--dtype": options.dtype,
            "--engine": None if self.config.run.engine == "auto" else self.config.run.engine,
            "--calibration": options.calibration,
        }
        for name, value in given.items():
            words += [] if value is None else [name, str(value)]
        for setting in choice.settings:
            # no threshold changes the time of a number of tokens
            words += [] if setting.startswith("prune.") else ["--set", setting]
        return shlex.join(words)

    def _write(self) -> None:
        if self.options.json_file is not None:
            write_whole(self.options.json_file, json.dumps(self.figures, indent=1) + "\n")
