"""Video-to-video on text-to-video pipelines of Wan 2.2."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from wan_toys import toy_pipeline, toy_prompt

from lipar.testing.closeness import assert_near
from lipar_adapters.wan.video_to_video import encode_video, first_step, video_to_video

KINDS = ["t2v", "t2v-5b", "t2v-a14b"]


def clip(frames=5, height=32, width=48, seed=0):
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
@pytest.mark.parametrize("strength", [0.5, 0.85, 1.0])
def test_on_wan_2_1_it_is_diffusers_own_video_to_video(scheduler, strength):
    pipe = toy_pipeline("t2v", scheduler=scheduler)
    theirs = toy_pipeline("v2v", scheduler=scheduler)
    options = {**toy_prompt(), "num_inference_steps": 6, "guidance_scale": 3.0, "output_type": "latent"}
    stock = theirs(clip(), height=32, width=48, strength=strength, generator=generator(), **options).frames
    ours = video_to_video(pipe, clip(), strength=strength, generator=generator(), **options).frames
    assert torch.equal(ours, stock)


@pytest.mark.parametrize("kind", KINDS)
def test_little_strength_stays_near_the_source_and_much_goes_far(kind):
    pipe = toy_pipeline(kind)
    source = encode_video(pipe, clip())

    def distance(strength):
        result = video_to_video(
            pipe,
            source=source,
            strength=strength,
            num_inference_steps=20,
            generator=generator(),
            output_type="latent",
            guidance_scale=1.0,
            **toy_prompt(),
        ).frames
        return float((result.transpose(1, 2) - source).square().mean())

    near, far = distance(0.05), distance(1.0)
    assert near < 0.5 * far


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_and_its_source_latents_give_the_same(kind):
    pipe = toy_pipeline(kind)
    options = {**toy_prompt(), "num_inference_steps": 4, "output_type": "latent"}
    from_video = video_to_video(pipe, clip(), generator=generator(), **options).frames
    source = encode_video(pipe, clip())
    from_source = video_to_video(pipe, source=source, generator=generator(), **options).frames
    assert torch.equal(from_video, from_source)


def test_each_step_of_the_two_experts_is_done_by_that_of_its_noise_level():
    pipe, asked = toy_pipeline("t2v-a14b"), []
    for name in ("transformer", "transformer_2"):
        getattr(pipe, name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: asked.append((name, float(kwargs["timestep"][0]))),
            with_kwargs=True,
        )
    options = {**toy_prompt(), "num_inference_steps": 10, "guidance_scale": 1.0, "output_type": "latent"}
    video_to_video(pipe, clip(), strength=0.8, generator=generator(), **options)
    assert len(asked) == 8
    assert all((name == "transformer") == (timestep >= 900) for name, timestep in asked)
    assert {name for name, _ in asked} == {"transformer", "transformer_2"}


def test_the_five_billion_model_is_told_a_timestep_for_every_token():
    pipe, shapes = toy_pipeline("t2v-5b"), []
    pipe.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(kwargs["timestep"].shape), with_kwargs=True
    )
    video_to_video(pipe, clip(), num_inference_steps=4, output_type="latent", **toy_prompt())
    assert set(shapes) == {(1, 2 * 2 * 3)}


def test_callbacks_and_other_options_are_the_pipelines_own():
    pipe, steps = toy_pipeline("t2v"), []

    def stop(pipe, step, timestep, tensors):
        steps.append((step, sorted(tensors)))
        pipe._interrupt = True
        return {}

    result = video_to_video(
        pipe,
        clip(),
        strength=0.5,
        num_inference_steps=8,
        callback_on_step_end=stop,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
        **toy_prompt(),
        return_dict=False,
    )
    assert steps == [(0, ["latents", "prompt_embeds"])]
    assert result[0].shape == (1, 5, 32, 48, 3)


def test_several_prompts_give_several_versions_of_one_video():
    pipe, prompt = toy_pipeline("t2v"), toy_prompt()
    prompts = {name: embeds.repeat(2, 1, 1) for name, embeds in prompt.items()}
    frames = video_to_video(pipe, clip(), num_inference_steps=3, output_type="latent", **prompts).frames
    assert frames.shape == (2, 16, 2, 4, 6)
    assert not torch.equal(frames[0], frames[1])


@pytest.mark.parametrize(
    "as_given",
    [
        lambda video: (video.permute(0, 2, 3, 1) * 255).round().byte().numpy() / np.float32(255),
        lambda video: [
            Image.fromarray(frame) for frame in (video.permute(0, 2, 3, 1) * 255).round().byte().numpy()
        ],
    ],
    ids=["array", "pictures"],
)
def test_a_video_may_come_as_pictures_array_or_tensor(as_given):
    pipe, video = toy_pipeline("t2v"), (clip() * 255).round() / 255
    assert_near(encode_video(pipe, as_given(video)), encode_video(pipe, video), 1e-5)


@pytest.mark.parametrize(
    ("video", "said"),
    [
        (clip(frames=12), "12 pixel frames .* trim to 9 or repeat the last frame up to 13"),
        (clip(frames=0), r"the video has no frame; a clip has 1 \+ 4n frames"),
        (clip(height=40), "48x40 pixels do not divide into tokens of 16x16; take 48x32"),
        (clip(width=8), "8x32 pixels do not divide"),
        (torch.rand(5, 2, 32, 32), r"a frame has 3 channels .* frame 0 is a tensor \[2, 32, 32\] of float32"),
        ("nowhere.mp4", "nowhere.mp4"),
    ],
)
def test_a_video_that_does_not_fit_is_refused_with_what_would(video, said):
    with pytest.raises(ValueError, match=said):
        encode_video(toy_pipeline("t2v"), video)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strength": 1.2}, "strength 1.2 is not in 0..1"),
        ({"strength": 0.1}, "strength 0.1 of 4 steps leaves no step to take; at least 0.25"),
        ({"latents": torch.zeros(1)}, "latents and num_frames follow from the video"),
        ({"video": None}, "give either a video or its source latents"),
        ({"source": torch.zeros(1, 2, 16, 4, 4)}, "give either a video or its source latents"),
        ({"video": None, "source": torch.zeros(1, 2, 48, 4, 4)}, "source latents are 1 t 16 h w"),
        ({"video": None, "source": torch.zeros(1, 2, 16, 4, 4), "height": 64}, "latents are of 32x32 pixels"),
    ],
)
def test_what_cannot_be_is_said_in_words(arguments, said):
    with pytest.raises(ValueError, match=said):
        video_to_video(
            toy_pipeline("t2v"), **{"video": clip(), "num_inference_steps": 4, **toy_prompt(), **arguments}
        )


def test_another_pipeline_is_refused():
    with pytest.raises(TypeError, match=r"runs on a diffusers\.WanPipeline, got WanImageToVideoPipeline"):
        video_to_video(toy_pipeline("i2v-5b"), clip())


@given(st.integers(1, 200), st.floats(0, 1))
def test_the_steps_taken_are_those_of_diffusers(steps, strength):
    taken = min(int(steps * strength), steps)
    if taken:
        assert steps - first_step(steps, strength) == taken
    else:
        with pytest.raises(ValueError, match="leaves no step"):
            first_step(steps, strength)
