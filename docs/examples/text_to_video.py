"""Text-to-video without a source: what pruning by the model's own prediction saves, and what it changes.

    python docs/examples/text_to_video.py

Clips of the bundled bidirectional model, each made three times: with every token computed, pruned by
`self_redundancy`, and with every token computed from another seed, which says how far apart clips of one prompt lie.
"""

import statistics
import time
from typing import Any

import torch

import lipar
from lipar_adapters.tiny.pipeline import text_to_video_pipeline

PROMPTS = (
    "a red ball, photo",
    "a blue car at night",
    "a yellow bird, watercolour",
    "a green tree in the snow",
)
STEPS = 30
SETTINGS = {
    "8 full steps": {"full_steps": 8},
    "8 full steps, one of 6 again": {"full_steps": 8, "recheck": 6},
    "15 full steps": {"full_steps": 15},
    "8 full steps, keep 0.5": {"full_steps": 8, "keep": 0.5},
}


def make(pipe: Any, prompt: str, seed: int) -> tuple[torch.Tensor, float]:
    """A clip of values in [0, 1], and the seconds that it took."""
    begun = time.perf_counter()
    frames = pipe(
        prompt=prompt,
        height=256,
        width=256,
        num_frames=33,
        num_inference_steps=STEPS,
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(seed),
        output_type="pt",
    ).frames
    return frames, time.perf_counter() - begun


def psnr(clip: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * torch.log10((clip - other).square().mean()))


def main() -> None:
    pipe = text_to_video_pipeline()
    pipe.set_progress_bar_config(disable=True)
    dense = {prompt: make(pipe, prompt, 0) for prompt in PROMPTS}
    other_seed = [psnr(make(pipe, prompt, 1)[0], dense[prompt][0]) for prompt in PROMPTS]
    print(f"another seed: PSNR to dense {statistics.mean(other_seed):.1f} dB")  # noqa: T201
    for name, settings in SETTINGS.items():
        lipar.enable(pipe, **settings)
        pairs = [(make(pipe, prompt, 0), dense[prompt]) for prompt in PROMPTS]
        found = lipar.summary(pipe)
        kept = found.kept_tokens / found.all_tokens
        speedup = statistics.median(whole[1] / pruned[1] for pruned, whole in pairs)
        distances = [psnr(pruned[0], whole[0]) for pruned, whole in pairs]
        each = ", ".join(f"{value:.1f}" for value in distances)
        print(  # noqa: T201
            f"{name}: kept {kept:.1%} of all steps' tokens, {speedup:.2f}x, PSNR to dense "
            f"{statistics.mean(distances):.1f} dB ({each})"
        )
        lipar.disable(pipe)


if __name__ == "__main__":
    main()
