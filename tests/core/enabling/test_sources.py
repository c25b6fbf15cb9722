"""What `lipar.enable` takes as the source, and how it refuses the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pipeline_toys import FRAMES, HEIGHT, WIDTH, run
from video_forms import FORMS, GREY, shades
from wan_toys import toy_pipeline, toy_transformer

import lipar
from lipar.config import build_config
from lipar.enabling.target import EnableWarning, target_for
from lipar.masks.source import check_source_latents
from lipar.video import VideoError
from lipar_adapters.time_to_move import encode_motion
from lipar_adapters.wan.video_to_video import encode_video, video_to_video


def video(frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    return shades(frames, height, width)


def latents(pipe: Any) -> torch.Tensor:
    return encode_video(pipe, video())


def session_of(target: Any) -> Any:
    return target_for(target, lipar.load_plugins()).session_of(target)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_pixels_in_any_form_are_the_same_source(form: str) -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, source=FORMS[form](video(5)))
    assert torch.equal(session_of(pipe).source, encode_video(pipe, video(5)))


def test_a_file_is_a_source(tmp_path: Path) -> None:
    pipe = toy_pipeline("t2v")
    Image.fromarray(video()[0].permute(1, 2, 0).numpy()).save(tmp_path / "one.png")
    with pytest.warns(UserWarning, match="is a picture"):
        lipar.enable(pipe, source=tmp_path / "one.png")
    assert torch.equal(session_of(pipe).source, encode_video(pipe, video(1)))
    with pytest.raises(VideoError, match=r"nowhere\.mp4"):
        lipar.enable(pipe, source="nowhere.mp4")


def test_a_source_of_one_frame_is_kept_whole() -> None:
    pipe = toy_pipeline("t2v")
    stock = run(pipe, "t2v", num_frames=1)
    lipar.enable(pipe, source=video(1))
    assert torch.equal(run(pipe, "t2v", num_frames=1), stock)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_latents_of_any_float_type_are_a_source(dtype: torch.dtype) -> None:
    pipe = toy_pipeline("t2v")
    config = build_config(settings=["prune.keep=0.5"])
    lipar.enable(pipe, config, source=latents(pipe).to(dtype).requires_grad_())
    run(pipe, "t2v")
    found = lipar.summary(pipe)
    assert 0 < found.kept_tokens < found.all_tokens


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        (lambda v: 2 * v / 255 - 1, ValueError, r"frame 0 has -1 to \S+: values of \[-1, 1\] become pixels"),
        (
            lambda v: (v / 255).index_fill(3, torch.tensor(3), torch.nan),
            ValueError,
            "values that are not finite",
        ),
        (lambda v: v.float(), ValueError, "divide by the largest"),
        (lambda v: [], ValueError, "the video has no frame"),
        (
            lambda v: v[:8],
            ValueError,
            "8 pixel frames do not make whole latent frames, which takes 1 . 4n; trim to 5",
        ),
        (lambda v: list(v[:8] / 255), ValueError, "8 pixel frames do not make whole latent frames"),
        (lambda v: v[..., :40], ValueError, "40x32 pixels do not divide into tokens of 16x16; take 32x32"),
        (lambda v: v[None, ..., :40], ValueError, "40x32 pixels do not divide into tokens of 16x16"),
        (lambda v: [*v[:8], v[8, :, :16]], ValueError, "frame 0 is 48x32 pixels, frame 8 48x16"),
        (lambda v: np.array([None]), ValueError, r"an array \[1\] of object"),
        (lambda v: {"video": v}, TypeError, "got dict"),
        (lambda v: 7, TypeError, "got int"),
        (lambda v: torch.zeros(3, 16, 4, 6), ValueError, r"frame 0 is a tensor \[16, 4, 6\]"),
        (
            lambda v: torch.zeros(1, 16, 3, 4, 6),
            ValueError,
            r"1 t 16 h w.*\[1, 16, 3, 4, 6\]; .* \.transpose\(1, 2\)",
        ),
        (
            lambda v: torch.zeros(1, 0, 16, 4, 6),
            ValueError,
            r"at least one frame.* got \[1, 0, 16, 4, 6\]",
        ),
        (lambda v: torch.zeros(1, 3, 16, 4, 6).long(), TypeError, r"and floats; got torch\.int64"),
        (lambda v: torch.zeros(2, 9, 3, 32, 48), ValueError, r"got a tensor \[2, 9, 3, 32, 48\]"),
    ],
)
def test_what_is_no_source_is_refused_when_enable_is_called(source: Any, error: Any, said: str) -> None:
    pipe = toy_pipeline("t2v")
    with pytest.raises(error, match=said):
        lipar.enable(pipe, source=source(video()))
    assert not lipar.summary(pipe).enabled


def test_a_pipeline_without_an_autoencoder_takes_latents_alone() -> None:
    source = latents(toy_pipeline("t2v"))
    pipe = toy_pipeline("t2v", vae=None)
    with pytest.raises(
        ValueError, match="no autoencoder to encode a video with; pass source latents 1 t c h w"
    ):
        lipar.enable(pipe, source=video())
    lipar.enable(pipe, build_config(settings=["prune.keep=0.5"]), source=source)
    assert lipar.summary(pipe).enabled


def test_the_size_of_a_clip_is_told_in_pixels_where_they_are_known() -> None:
    pipe, transformer = toy_pipeline("t2v"), toy_transformer()
    lipar.enable(pipe, source=video(5, 64, 32))
    said = "the source has 5 frames of 32x64 pixels, but 9 frames of 48x32 pixels are being generated"
    with pytest.raises(ValueError, match=said):
        run(pipe, "t2v")
    lipar.enable(transformer, build_config(settings=["prune.keep=0.5"]), source=latents(pipe))
    said = "the source has 3 latent frames of 6x4 latents, but 2 latent frames of 6x4 latents are being generated"
    with pytest.raises(ValueError, match=said), torch.no_grad():
        transformer(torch.zeros(1, 16, 2, 4, 6), torch.tensor([500.0]), torch.zeros(1, 8, 64))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (torch.zeros(1, 2, 16, 4, 4) + torch.nan, "not finite"),
        (torch.zeros(1, 2, 16, 4, 5), "40x32 pixels do not divide into tokens of 16x16"),
    ],
)
def test_our_video_to_video_refuses_source_latents_alike(source: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        video_to_video(toy_pipeline("t2v"), source=source)


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        (torch.zeros(2, 16, 4, 4), ValueError, r"source latents are 1 t 16 h w.* got \[2, 16, 4, 4\]"),
        (torch.zeros(1, 2, 16, 4, 4, dtype=torch.int32), TypeError, r"and floats; got torch\.int32"),
        ([], TypeError, "and floats; got list"),
        (None, TypeError, "and floats; got NoneType"),
    ],
)
def test_what_are_no_latents_is_refused(source: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        check_source_latents(source, 16)


# --- the motion video of Time-to-Move is such a source, too -------------------------------------------------------


def test_motion_and_mask_are_read_as_any_video_is() -> None:
    pipe, size = toy_pipeline("i2v-5b"), {"height": HEIGHT, "width": WIDTH}
    mask = (video() > 127).byte() * 255
    expected = encode_motion(pipe, video(), mask, **size)
    for form in ("pictures", "float array", "tensors"):
        found = encode_motion(pipe, FORMS[form](video()), FORMS[form](mask), **size)
        assert torch.equal(found.reference, expected.reference)
        assert torch.equal(found.mask, expected.mask)
    with pytest.raises(ValueError, match="values that are not finite"):
        encode_motion(pipe, video() / 255 + torch.nan, mask, **size)
    with pytest.raises(ValueError, match=r"values of \[-1, 1\] become pixels"):
        encode_motion(pipe, video(), 2 * (mask / 255) - 1, **size)


# --- video-to-video reads the video of its call -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda v: v / 255 * 2 - 1, r"the video has -1 to \S+: values of \[-1, 1\] become pixels by x / 2"),
        (lambda v: v / 255 + torch.nan, "values that are not finite"),
        (lambda v: v, "would read uint8 as such; divide the video by 255"),
        (FORMS["opaque RGBA pictures"], r"of mode RGBA: use picture\.convert"),
        (GREY["pictures"], r"of mode L: use picture\.convert"),
        (lambda v: v[:, :1] / 255, r"the video has a tensor \[9, 1, 32, 48\]"),
    ],
)
def test_video_to_video_refuses_what_its_processor_would_misread(given: Any, said: str) -> None:
    pipe = toy_pipeline("v2v")
    lipar.enable(pipe)
    with pytest.raises(ValueError, match=said):
        run(pipe, "v2v", video=given(video()))
    lipar.enable(pipe, layout=lipar.TokenLayout.keep_all((3, 2, 3), has_history=False))
    bad = video() / 255 * 2 - 1
    with pytest.warns(FutureWarning, match="deprecated"):  # a layout reads no video: all is as in diffusers
        kept = run(pipe, "v2v", video=bad)
    lipar.disable(pipe)
    assert "check_inputs" not in vars(pipe)
    with pytest.warns(FutureWarning, match="deprecated"):
        assert torch.equal(run(pipe, "v2v", video=bad), kept)


@pytest.mark.parametrize("form", ["float tensor", "float array", "pictures", "tensors"])
def test_video_to_video_reads_what_its_processor_reads(form: str) -> None:
    pipe, told = toy_pipeline("v2v"), toy_pipeline("v2v")
    config = build_config(settings=["prune.keep=0.5"])
    lipar.enable(pipe, config)
    lipar.enable(told, config, source=video())
    found = run(pipe, "v2v", video=FORMS[form](video()))
    with pytest.warns(EnableWarning):
        assert torch.equal(run(told, "v2v", video=video() / 255), found)
    assert lipar.summary(pipe).kept_tokens == lipar.summary(told).kept_tokens < lipar.summary(told).all_tokens


def test_of_two_sources_the_one_of_enable_wins_and_that_is_said() -> None:
    pipe, told = toy_pipeline("v2v"), toy_pipeline("v2v")
    config = build_config(settings=["prune.keep=0.5"])
    lipar.enable(pipe, config, source=shades(FRAMES, HEIGHT, WIDTH, seed=1))
    said = "this call has a video, and lipar.enable was given a source: the source decides which tokens are computed"
    with pytest.warns(EnableWarning, match=said) as warned:
        first = run(pipe, "v2v")
    assert len(warned) == 1
    lipar.enable(told, layout=session_of(pipe)._found)
    assert torch.equal(run(told, "v2v"), first)
