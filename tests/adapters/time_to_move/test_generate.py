"""Dual-clock denoising on stock image-to-video pipelines, of both ways to condition on an image."""

import pytest
import torch
from motion_toys import FRAMES, HEIGHT, WIDTH, first_frame, left_half, motion, run, signal
from wan_toys import toy_pipeline, toy_prompt

from lipar.testing.closeness import assert_near, spread
from lipar_adapters.time_to_move import encode_motion

KINDS = ["i2v-5b", "i2v-a14b"]


SCHEDULERS = ["euler", "unipc"]


def steps_of(pipe, **options):
    """The latents after every step, as the next one gets them, and the sigmas of the run."""
    seen = []

    def remember(pipe, step, timestep, tensors):
        seen.append(tensors["latents"])
        return {}

    run(pipe, callback_on_step_end=remember, **options)
    return seen, pipe.scheduler.sigmas


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_inside_the_mask_stands_the_motion_video_at_the_coming_noise_level_until_t_strong(kind, scheduler):
    pipe = toy_pipeline(kind, scheduler=scheduler)
    driven = signal(pipe)
    after, sigmas = steps_of(pipe, driven=driven)
    assert len(after) == 6
    clean, inside = driven.reference.transpose(1, 2), driven.mask[None, None].expand_as(after[0])
    # one noise serves all levels, so what was put there lies on a line through the clean latents
    noise = (after[0] - (1 - sigmas[1]) * clean) / sigmas[1]
    for step, latents in enumerate(after[:-1]):
        expected = (1 - sigmas[step + 1]) * clean + sigmas[step + 1] * noise
        held = (latents - expected).abs() < 1e-5 * spread(clean)
        assert bool(held[inside].all()) == (step < 3)
        assert not held[~inside].all() or step == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_region_that_is_held_to_the_end_is_the_motion_video(kind, scheduler):
    pipe = toy_pipeline(kind, scheduler=scheduler)
    driven = signal(pipe)
    result = run(pipe, driven, tstrong_index=8)
    inside = driven.mask[None, None].expand_as(result).clone()
    if kind == "i2v-5b":
        inside[:, :, 0] = False  # there the pipeline puts the image
    assert torch.equal(result[inside], driven.reference.transpose(1, 2)[inside])


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_masked_region_t_strong_changes_nothing(kind):
    pipe = toy_pipeline(kind)
    empty = signal(pipe, mask=torch.zeros_like(left_half()))
    assert empty.masked_fraction == 0
    assert torch.equal(run(pipe, empty, tstrong_index=2), run(pipe, empty, tstrong_index=8))


@pytest.mark.parametrize("kind", KINDS)
def test_with_both_clocks_at_zero_the_motion_video_is_forgotten(kind):
    pipe = toy_pipeline(kind)  # Euler's schedule begins at sigma 1
    other = encode_motion(pipe, 1 - motion(), left_half(), height=HEIGHT, width=WIDTH)
    clocks = {"tweak_index": 0, "tstrong_index": 0}
    assert torch.equal(run(pipe, **clocks), run(pipe, other, **clocks))
    assert not torch.equal(run(pipe), run(pipe, other))


def test_the_two_experts_share_the_run_by_the_pipelines_own_boundary():
    pipe, asked = toy_pipeline("i2v-a14b", scheduler="unipc"), []
    for name in ("transformer", "transformer_2"):
        getattr(pipe, name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: asked.append((name, float(kwargs["timestep"][0]))),
            with_kwargs=True,
        )
    run(pipe, tweak_index=1)
    assert all((name == "transformer") == (timestep >= 900) for name, timestep in asked)
    assert {name for name, _ in asked} == {"transformer", "transformer_2"}


def test_the_solver_goes_on_from_what_was_put_back_only_without_its_corrector():
    """UniPC computes the sample of a step anew; the released code therefore loses most of what it puts back."""
    pipe = toy_pipeline("i2v-a14b", scheduler="unipc")
    driven, states, step = signal(pipe), [], pipe.scheduler.step

    def watch(flow, timestep, sample, **kwargs):
        result = step(flow, timestep, sample, **kwargs)
        states.append((sample, pipe.scheduler.last_sample))
        return result

    pipe.scheduler.step = watch
    run(pipe, driven)
    exact = states[:]
    states.clear()
    run(pipe, driven, released=True)
    inside = driven.mask[None, None].expand_as(exact[0][0])
    kept = [torch.equal(given[inside], state[inside]) for given, state in exact]
    assert kept == [True, True, True, True, False, False]
    assert [torch.equal(given[inside], state[inside]) for given, state in states] == [True, *[False] * 5]
    assert pipe.scheduler.disable_corrector == []


def test_the_users_callback_sees_and_changes_the_latents_that_the_next_step_gets():
    pipe, tensors_seen = toy_pipeline("i2v-5b"), []

    def users(pipe, step, timestep, tensors):
        tensors_seen.append(sorted(tensors))
        if step == 5:
            return {"latents": torch.full_like(tensors["latents"], 7.0)}
        return {}

    asked = ["prompt_embeds", "latents"]
    result = run(pipe, callback_on_step_end=users, callback_on_step_end_tensor_inputs=asked)
    assert tensors_seen == [["latents", "prompt_embeds"]] * 6
    assert (result[:, :, 1:] == 7.0).all()


def test_a_callback_object_of_diffusers_names_its_own_tensors():
    from diffusers.callbacks import PipelineCallback

    class Stop(PipelineCallback):
        @property
        def tensor_inputs(self):
            return ["prompt_embeds"]

        def callback_fn(self, pipeline, step_index, timestep, callback_kwargs):
            assert list(callback_kwargs) == ["prompt_embeds"]
            pipeline._interrupt = True
            return {}

    pipe = toy_pipeline("i2v-5b")
    stopped = run(pipe, callback_on_step_end=Stop(cutoff_step_ratio=None, cutoff_step_index=1))
    assert not torch.equal(stopped, run(pipe))


@pytest.mark.parametrize("kind", KINDS)
def test_several_prompts_and_several_videos_of_each_share_one_motion(kind):
    pipe = toy_pipeline(kind)
    prompts = {name: torch.cat([embeds, -embeds]) for name, embeds in toy_prompt().items()}
    driven = signal(pipe)
    result = run(pipe, driven, tstrong_index=8, **prompts)
    assert len(result) == 2
    inside = driven.mask[None].expand_as(result[0]).clone()
    inside[:, 0] = False
    assert torch.equal(result[0][inside], result[1][inside])
    assert not torch.equal(result[0], result[1])


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_in_half_precision(kind):
    pipe = toy_pipeline(kind)
    for part in ("transformer", "transformer_2", "vae"):
        if getattr(pipe, part, None) is not None:
            getattr(pipe, part).to(torch.bfloat16)
    after, _ = steps_of(pipe)
    free, _ = steps_of(pipe, tstrong_index=2)
    assert [latents.dtype for latents in after] == [latents.dtype for latents in free]
    assert torch.isfinite(after[-1]).all()


def test_a_run_leaves_the_pipeline_as_it_was():
    pipe = toy_pipeline("i2v-a14b", scheduler="unipc")

    def plain():
        options = {**toy_prompt(), "num_inference_steps": 3, "output_type": "latent"}
        generator = torch.Generator().manual_seed(1)
        return pipe(
            image=first_frame(), height=32, width=48, num_frames=5, generator=generator, **options
        ).frames

    before, attributes = plain(), set(vars(pipe.scheduler))
    run(pipe)
    assert set(vars(pipe.scheduler)) == attributes
    assert torch.equal(plain(), before)


def by_hand(pipe, driven, tstrong, steps, guidance):
    """A start from pure noise as TTM defines it, in the plainest loop; for one expert and the image on own channels."""
    shape = driven.reference.transpose(1, 2).shape
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    clean, scheduler, prompt = driven.reference.transpose(1, 2), pipe.scheduler, toy_prompt(rows=512)
    _, condition = pipe.prepare_latents(
        pipe.video_processor.preprocess(first_frame(), height=HEIGHT, width=WIDTH),
        1,
        16,
        HEIGHT,
        WIDTH,
        FRAMES,
        torch.float32,
        torch.device("cpu"),
        latents=latents,
    )
    scheduler.set_timesteps(steps)
    for step, t in enumerate(scheduler.timesteps):
        seen = torch.cat([latents, condition], 1)
        answers = [
            pipe.transformer(seen, t.expand(1), prompt[name], return_dict=False)[0]
            for name in ("prompt_embeds", "negative_prompt_embeds")
        ]
        flow = answers[1] + guidance * (answers[0] - answers[1])
        latents = scheduler.step(flow, t, latents, return_dict=False)[0]
        if step < tstrong:
            sigma = scheduler.sigmas[step + 1]
            latents = torch.where(driven.mask, (1 - sigma) * clean + sigma * noise, latents)
    return latents


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("tstrong", [0, 3, 6])
def test_a_start_from_pure_noise_is_the_plain_loop_over_the_whole_schedule(scheduler, tstrong):
    pipe = toy_pipeline("i2v-a14b", scheduler=scheduler, transformer_2=None, boundary_ratio=None)
    driven = signal(pipe)
    with torch.no_grad():
        plain = by_hand(pipe, driven, tstrong, steps=6, guidance=3.0)
    options = {"num_inference_steps": 6, "guidance_scale": 3.0, "released": True, **toy_prompt(rows=512)}
    ours = run(pipe, driven, tweak_index=-1, tstrong_index=tstrong, **options)
    assert_near(ours, plain, 3e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_pure_noise_holds_as_many_steps_as_a_start_at_step_zero(kind):
    pipe = toy_pipeline(kind)
    driven = signal(pipe)
    inside = driven.mask[None, None]
    from_noise, _ = steps_of(pipe, driven=driven, tweak_index=-1, tstrong_index=3)
    from_zero, _ = steps_of(pipe, driven=driven, tweak_index=0, tstrong_index=3)
    assert len(from_noise) == len(from_zero) == 8
    # the second noise is the one inside the mask, wherever a run begins
    pairs = zip(from_noise, from_zero, strict=True)
    equal = [torch.equal(a[inside.expand_as(a)], b[inside.expand_as(b)]) for a, b in pairs]
    assert equal == [True] * 3 + [False] * 5


def test_pure_noise_knows_nothing_of_the_motion_video_when_no_step_is_held():
    pipe = toy_pipeline("i2v-5b", scheduler="unipc")  # its first sigma is a little below 1
    other = encode_motion(pipe, 1 - motion(), left_half(), height=HEIGHT, width=WIDTH)
    clocks = {"tweak_index": -1, "tstrong_index": 0}
    assert torch.equal(run(pipe, **clocks), run(pipe, other, **clocks))


@pytest.mark.parametrize(("tweak", "tstrong"), [(-2, 3), (-1, -1), (-1, 9), (4, 3), (3, 9), (8, 8)])
def test_indices_out_of_order_are_refused(tweak, tstrong):
    with pytest.raises(ValueError, match=rf"tweak index {tweak} and tstrong index {tstrong} of 8 steps"):
        run(toy_pipeline("i2v-5b"), tweak_index=tweak, tstrong_index=tstrong)


@pytest.mark.parametrize("option", ["height", "num_frames", "latents"])
def test_what_follows_from_the_motion_video_is_refused_as_an_option(option):
    with pytest.raises(ValueError, match=f"{option} follows from the motion video; give it to encode_motion"):
        run(toy_pipeline("i2v-5b"), **{option: 9})


def test_a_text_to_video_pipeline_is_refused():
    pipe = toy_pipeline("t2v")
    with pytest.raises(TypeError, match=r"runs on a diffusers\.WanImageToVideoPipeline, got WanPipeline"):
        run(pipe)
