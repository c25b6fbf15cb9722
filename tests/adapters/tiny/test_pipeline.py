"""The bidirectional model in stock diffusers pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import PIL.Image
import pytest
import torch

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny import pipeline
from lipar_adapters.tiny.recipe.train_bidirectional import (
    embed_captions,
)
from lipar_adapters.tiny.text import tokenize

IMAGE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8))


SIZE: dict[str, Any] = {"height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 2}


RUNS: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "image": (pipeline.image_to_video_pipeline, "WanImageToVideoPipeline", {"image": IMAGE, **SIZE}),
    "text": (pipeline.text_to_video_pipeline, "WanPipeline", SIZE),
    "video": (
        pipeline.video_to_video_pipeline,
        "WanVideoToVideoPipeline",
        {"video": [IMAGE] * 5, "height": 32, "width": 48, "num_inference_steps": 4, "strength": 0.5},
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("task", RUNS)
def test_stock_pipelines_run(folder: Path, task: str, dtype: torch.dtype) -> None:
    make, kind, arguments = RUNS[task]
    pipe = make("cpu", dtype, folder)
    assert type(pipe) is getattr(diffusers, kind)
    pipe.set_progress_bar_config(disable=True)
    clip = pipe(prompt="night", **arguments, guidance_scale=2.0, generator=torch.Generator().manual_seed(0))
    assert clip.frames.shape == (1, 5, 32, 48, 3) and np.isfinite(clip.frames).all()


def test_a_saved_pipeline_loads_as_any_other(folder: Path, tmp_path: Path) -> None:
    pipe = pipeline.image_to_video_pipeline(folder=folder)
    pipe.save_pretrained(tmp_path)
    again = diffusers.WanImageToVideoPipeline.from_pretrained(tmp_path, local_files_only=True)
    for name in ("transformer", "vae", "text_encoder"):
        saved, loaded = getattr(pipe, name).state_dict(), getattr(again, name).state_dict()
        assert all(torch.equal(saved[key], loaded[key]) for key in saved), name
    pixels = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    with torch.no_grad():
        one, other = (some.vae.encode(pixels).latent_dist.mode() for some in (pipe, again))
    assert torch.equal(one, other)


def test_a_folder_without_a_sibling_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no bidirectional model"):
        pipeline.image_to_video_pipeline(folder=tmp_path)


@torch.no_grad()
def test_text_is_what_the_sibling_was_trained_with(folder: Path) -> None:
    pipe = pipeline.image_to_video_pipeline(folder=folder)
    prompts = ["pencil sketch, a red ball", ""]
    given, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False, max_sequence_length=512)
    trained = embed_captions(pipe.text_encoder, tokenize(pipe.tokenizer, prompts))
    assert given.shape == trained.shape
    assert_near(given, trained, 1e-5)
