"""Motion video and mask at the clip's size and length, and in latent space."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from motion_toys import FRAMES, HEIGHT, WIDTH, left_half, motion, run, signal
from wan_toys import toy_pipeline

from lipar.testing.closeness import assert_near
from lipar_adapters.time_to_move import encode_motion
from lipar_adapters.time_to_move.motion_latents import (
    clip_frames,
    latent_mask,
    scale_mask,
    scale_motion,
)


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_clip_is_as_long_as_whole_latent_frames_of_motion_and_mask_allow(motion_frames, mask_frames):
    frames = clip_frames(motion_frames, mask_frames, None)
    there = min(motion_frames, mask_frames)
    assert frames % 4 == 1
    assert there - 4 < frames <= there


@pytest.mark.parametrize("beyond", [0, 1, 8, 40])
def test_what_a_motion_video_has_beyond_the_clip_is_left_out(beyond):
    pipe = toy_pipeline("i2v-5b")
    longer = torch.cat([motion(), torch.rand(beyond, 3, HEIGHT, WIDTH)])
    mask = torch.cat([left_half(), 255 - left_half(beyond)])
    driven = encode_motion(pipe, longer, mask, height=HEIGHT, width=WIDTH, num_frames=FRAMES)
    plain = signal(pipe)
    assert torch.equal(driven.reference, plain.reference)
    assert torch.equal(driven.mask, plain.mask)
    assert run(pipe, driven).shape[2] == 3


@pytest.mark.parametrize(
    ("frames", "masks", "said"),
    [
        (9, 9, "13 frames was asked for, but the motion video has 9; ask for 9 at most"),
        (20, 12, "13 frames was asked for, but the mask has 12; ask for 9 at most"),
        (0, 20, "no frame"),
    ],
)
def test_a_motion_video_shorter_than_the_clip_is_refused_with_what_would_do(frames, masks, said):
    pipe = toy_pipeline("i2v-5b")
    with pytest.raises(ValueError, match=said):
        encode_motion(pipe, motion(frames), left_half(masks), height=32, width=48, num_frames=13)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"height": 40}, "48x40 pixels do not divide into tokens of 16x16; take 48x32"),
        ({"num_frames": 8}, "8 pixel frames do not make whole latent frames"),
    ],
)
def test_a_clip_that_does_not_fit_the_pipeline_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        encode_motion(toy_pipeline("i2v-5b"), motion(), left_half(), **{"height": 32, "width": 48, **options})


def test_a_latent_frame_takes_the_mask_of_its_first_pixel_frame():
    mask = torch.zeros(9, 16, 16, dtype=torch.bool)
    mask[1, :, 8:] = True
    mask[6:9] = True
    small = latent_mask(mask, group=4, factor=8)
    assert small.tolist() == [[[False] * 2] * 2, [[False, True]] * 2, [[False] * 2] * 2]


def test_scaling_a_mask_makes_no_third_value_and_no_scaling_changes_nothing():
    mask = left_half(2, 10, 10)
    assert torch.equal(scale_mask(mask, (10, 10)), mask[:, 0] > 0)
    assert torch.equal(scale_mask(mask, (5, 20)), left_half(2, 5, 20)[:, 0] > 0)
    assert torch.equal(scale_mask(mask.float() / 255, (5, 20)), scale_mask(mask, (5, 20)))


def test_smooth_scaling_keeps_fine_stripes_from_turning_into_coarse_ones_unlike_the_released_code():
    stripes = (torch.arange(96) % 3 == 0).float().expand(1, 3, 96, 96)
    smooth, released = (scale_motion(stripes, (32, 40), released=released) for released in (False, True))
    # at less than half the size stripes 3 wide cannot be seen: grey, a third white
    assert float((smooth[..., 2:-2] - 1 / 3).abs().max()) < 0.15
    assert float((released - 1 / 3).abs().max()) > 0.5


def test_uint8_and_floats_are_scaled_alike():
    video = (255 * motion()).round().to(torch.uint8)
    assert_near(scale_motion(video, (16, 16)), scale_motion(video.float() / 255, (16, 16)), 2e-6)
