"""Clips per second of `lipar batch` with one and with two workers of Ray, each with one thread; run it by hand.

    python tests/tools/batch_throughput.py [CLIPS] [FRAMES]

The model is the bundled one. Starting Ray and loading models is not counted: the clock of a run starts when every
worker has finished a clip, and stops when the first of them has none left.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from lipar.batch.on_ray import Pool, run_on_ray
from lipar.batch.recipe import Recipe
from lipar.batch.rows import ClipRow
from lipar.config import build_config
from lipar.events import EditOptions
from lipar.page.machine import describe
from lipar.prompts import PromptSchedule
from lipar.video import write_synthetic_clip


def clips_per_second(folder: Path, clips: list[Path], workers: int) -> float:
    """Of all workers together, between the first clip of the last one to begin and the last full round."""
    out = folder / f"out{workers}-{time.monotonic_ns()}"
    out.mkdir()
    config, prompts = build_config(), PromptSchedule.plain("night")
    rows = [ClipRow(source=clip, output=out / clip.name, prompts=prompts, config=config) for clip in clips]
    recipe = Recipe(options=EditOptions(prompt="", output=out, resolution=(128, 128)), device="cpu")
    ended: list[tuple[float, str]] = []
    for outcome in run_on_ray(recipe, rows, Pool(workers=workers, gpus_per_worker=0)):
        assert outcome.state == "edited" and outcome.record is not None, outcome.error
        ended.append((time.monotonic(), outcome.record.worker))
    begin = max(
        next(index for index, (_, name) in enumerate(ended) if name == worker)
        for worker in {w for _, w in ended}
    )
    stop = len(ended) - workers
    return (stop - begin) / (ended[stop][0] - ended[begin][0])


def main() -> None:
    count, frames = (int(word) for word in (sys.argv[1:] + ["60", "30"][len(sys.argv) - 1 :])[:2])
    os.environ["OMP_NUM_THREADS"] = "1"
    machine = describe(torch.device("cpu"), torch.float32)
    print(f"{machine['device']}, {os.cpu_count()} CPUs, {machine['date']}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [
            write_synthetic_clip(folder / f"{number}.mp4", frames=frames, width=128, height=128, seed=number)
            for number in range(count)
        ]
        found: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):  # in turn, so that other work on the machine meets both
            for workers, speeds in found.items():
                speeds.append(clips_per_second(folder, clips, workers))
                print(
                    f"{workers} workers: {speeds[-1]:.2f} clips/s, load {os.getloadavg()[0]:.1f}", flush=True
                )
    one, two = (max(speeds) for speeds in found.values())
    print(f"best of 3: {one:.2f} and {two:.2f} clips/s; two workers are {two / one:.2f} times as fast as one")


if __name__ == "__main__":
    main()
