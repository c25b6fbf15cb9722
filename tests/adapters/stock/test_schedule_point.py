"""The noise level of a forward is that of the pipeline's scheduler, and other forwards are told apart."""

from typing import Any

import pytest
from pipeline_toys import run
from wan_toys import toy_pipeline

from lipar_adapters.stock.schedule_point import schedule_point


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
@pytest.mark.parametrize("kind", ["t2v", "v2v"])
def test_steps_and_noise_levels_are_the_schedulers_own(kind: str, scheduler: str) -> None:
    pipe, seen = toy_pipeline(kind, scheduler=scheduler), []
    stock = pipe.transformer.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(schedule_point(pipe, float(kwargs["timestep"].max())))
        return stock(*args, **kwargs)

    pipe.transformer.forward = watched
    run(pipe, kind, guidance_scale=1.0)
    first = len(pipe.scheduler.timesteps) - len(seen)  # video-to-video begins late in the schedule
    assert [point.step for point in seen] == list(range(first, first + len(seen)))
    assert [point.sigma for point in seen] == pytest.approx(pipe.scheduler.sigmas[first:-1].tolist())
    assert not any(point.rounded for point in seen)


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
def test_a_forward_in_a_callback_or_with_another_timestep_is_not_the_pipelines(scheduler: str) -> None:
    pipe, seen = toy_pipeline("t2v", scheduler=scheduler), []

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(schedule_point(pipe, float(timestep)))
        return {}

    assert schedule_point(pipe, 500.0) is None  # no call is running
    run(pipe, "t2v", callback_on_step_end=callback)
    assert seen == [None] * 6
    assert schedule_point(pipe, 123.0) is None


def test_a_rounded_timestep_is_still_the_pipelines() -> None:
    pipe = toy_pipeline("t2v")
    pipe.scheduler.set_timesteps(6)
    timestep = float(pipe.scheduler.timesteps[2])
    pipe._current_timestep = timestep
    for told, known in ((timestep + 5e-3, True), (timestep + 5e-2, False)):
        assert (schedule_point(pipe, told) is not None) is known
