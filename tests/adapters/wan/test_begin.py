"""A stock pipeline that begins in the middle of its schedule."""

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchHeunDiscreteScheduler
from wan_toys import toy_pipeline, toy_prompt

from lipar.testing.closeness import assert_near
from lipar_adapters.wan.begin import begin_at, noised, video_count

SCHEDULERS = ["euler", "unipc"]
SIZES = {"height": 32, "width": 32, "num_frames": 5, "num_inference_steps": 6, "output_type": "latent"}


def run(pipe, latents, **options):
    return pipe(**toy_prompt(), latents=latents, **SIZES, **options).frames


def start(seed=0):
    return torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(seed))


def by_hand(pipe, latents, index, guidance):
    """The plainest loop over the rest of an uncut schedule, as TTM's and diffusers' own video-to-video do it."""
    prompt, scheduler = toy_prompt(), pipe.scheduler
    scheduler.set_timesteps(SIZES["num_inference_steps"])
    for t in scheduler.timesteps[index:]:
        answers = [
            pipe.transformer(latents, t.expand(1), prompt[name], return_dict=False)[0]
            for name in ("prompt_embeds", "negative_prompt_embeds")
        ]
        flow = answers[1] + guidance * (answers[0] - answers[1])
        latents = scheduler.step(flow, t, latents, return_dict=False)[0]
    return latents


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("index", [0, 1, 4, 5])
def test_a_run_begun_in_the_middle_is_the_plain_loop_over_the_rest_of_the_schedule(scheduler, index):
    pipe = toy_pipeline("t2v", scheduler=scheduler)
    with torch.no_grad():
        plain = by_hand(pipe, start(), index, guidance=3.0)
    with begin_at(pipe, index):
        ours = run(pipe, start(), guidance_scale=3.0)
    assert torch.equal(ours, plain)


def test_the_rest_of_a_whole_run_is_a_run_begun_where_it_stood():
    pipe, seen = toy_pipeline("t2v"), []

    def remember(pipe, step, timestep, tensors):
        seen.append(tensors["latents"])
        return {}

    end = run(pipe, start(), callback_on_step_end=remember)
    with begin_at(pipe, 4):
        assert torch.equal(run(pipe, seen[3]), end)  # Euler remembers nothing


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_afterwards_everything_is_as_before(scheduler):
    pipe = toy_pipeline("t2v", scheduler=scheduler)
    whole = run(pipe, start())
    attributes = set(vars(pipe.scheduler))
    with begin_at(pipe, 3):
        run(pipe, start())
    assert set(vars(pipe.scheduler)) == attributes
    assert torch.equal(run(pipe, start()), whole)


def test_an_error_in_between_leaves_nothing_behind():
    pipe = toy_pipeline("t2v")
    attributes = set(vars(pipe.scheduler))
    with pytest.raises(ValueError, match="divisible by 16"), begin_at(pipe, 3):
        pipe(**toy_prompt(), height=33, width=32)
    assert set(vars(pipe.scheduler)) == attributes


def test_somebody_elses_wrapper_of_the_schedule_is_put_back():
    pipe = toy_pipeline("t2v")
    whole, calls = pipe.scheduler.set_timesteps, []

    def theirs(*args, **kwargs):
        calls.append(args)
        whole(*args, **kwargs)

    pipe.scheduler.set_timesteps = theirs
    with begin_at(pipe, 2):
        run(pipe, start())
    assert pipe.scheduler.set_timesteps is theirs
    assert len(calls) == 1


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_each_step_is_done_by_the_expert_of_its_noise_level(scheduler):
    pipe, asked = toy_pipeline("t2v-a14b", scheduler=scheduler), []
    for name in ("transformer", "transformer_2"):
        getattr(pipe, name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: asked.append((name, float(kwargs["timestep"][0]))),
            with_kwargs=True,
        )
    with begin_at(pipe, 1):
        run(pipe, start(), guidance_scale=1.0)
    assert [timestep for _, timestep in asked] == [float(t) for t in pipe.scheduler.timesteps]
    assert len(asked) == 5
    assert all((name == "transformer") == (timestep >= 900) for name, timestep in asked)
    assert {name for name, _ in asked} == {"transformer", "transformer_2"}


@pytest.mark.parametrize("index", [-1, 6, 100])
def test_a_step_beyond_the_schedule_is_refused(index):
    pipe = toy_pipeline("t2v")
    with (
        pytest.raises(ValueError, match=rf"6 steps has no step {index}; begin at 0 to 5"),
        begin_at(pipe, index),
    ):
        run(pipe, start())


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        (DDIMScheduler(), "DDIMScheduler does not follow flow matching"),
        (FlowMatchHeunDiscreteScheduler(), "goes through 2 model calls per step"),
    ],
)
def test_other_schedulers_are_refused_with_the_ones_that_do(scheduler, said):
    pipe = toy_pipeline("t2v")
    pipe.scheduler = scheduler
    with pytest.raises(TypeError, match=f"{said}.*FlowMatchEuler"), begin_at(pipe, 0):
        pass


def test_noise_is_added_as_the_scheduler_does():
    pipe = toy_pipeline("t2v", scheduler="unipc")
    scheduler, clean, noise = pipe.scheduler, start(1), start(2)
    scheduler.set_timesteps(6)
    for index, timestep in enumerate(scheduler.timesteps):
        theirs = scheduler.add_noise(clean, noise, timestep[None])
        assert_near(noised(clean, noise, scheduler.sigmas[index]), theirs, 2e-6)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"prompt": "a cat"}, 1),
        ({"prompt": ["a cat", "a dog"], "num_videos_per_prompt": 3}, 6),
        ({"prompt": None, "prompt_embeds": torch.zeros(2, 8, 64)}, 2),
        ({"prompt": "a cat", "num_videos_per_prompt": None}, 1),
    ],
)
def test_videos_are_counted_by_prompts(options, count):
    assert video_count(options) == count
