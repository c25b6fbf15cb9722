"""The videos of an ablation: where each is written, named as VBench wants them, `{prompt}-{index}.mp4`."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import attrs

from lipar.files.owner import LONGEST_NAME
from lipar.video import VideoWriter
from lipar_lab.ablation.clips import Clip
from lipar_lab.ablation.plan import Cell, Plan
from lipar_lab.ablation.rows import Row

FOLDER = "videos"


@attrs.frozen(kw_only=True)
class NamedVideo:
    """One video of a plan."""

    path: Path
    """Below the folder of the ablation."""
    prompt: str
    cell: Cell


def group(plan: Plan, row: Row, cell: Cell) -> str:
    """The folder of a row's videos, below `videos`; VBench rates one folder at a time.

    Args:
        plan: kept fractions and strengths are in the name where there are several.
        row: the row.
        cell: one of its cells.
    """
    parts = [row.name]
    if len(plan.kept) > 1 and row.how not in ("dense", "other-seed"):
        parts.append(f"kept {cell.kept:g}")
    if len(plan.strengths) > 1:
        parts.append(f"strength {cell.strength:g}")
    return re.sub(r"[^A-Za-z0-9.=]+", "-", " ".join(parts)).strip("-")


def file_name(prompt: str, index: int) -> str:
    """`{prompt}-{index}.mp4`.

    Args:
        prompt: of the clip.
        index: number of the sample, from 0.

    Raises:
        ValueError: a prompt that is no file's name; VBench reads the prompt from it.
    """
    name = f"{prompt}-{index}.mp4"
    if "/" in prompt or "\0" in prompt or not prompt.strip() or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"VBench reads the prompt from the name of the video, and {prompt!r} cannot be in a file's name: it must "
            f"not be empty, have no / and at most {LONGEST_NAME - 10} bytes"
        )
    return name


def video_path(plan: Plan, cell: Cell, prompt: str) -> Path:
    """Where the video of a cell is, below the folder of the ablation.

    Args:
        plan: the plan.
        cell: one of its cells.
        prompt: of its clip.
    """
    index = plan.clips.sample(cell.clip) * len(plan.seeds) + plan.seeds.index(cell.seed)
    return Path(FOLDER) / group(plan, plan.row(cell.row), cell) / file_name(prompt, index)


def named_videos(plan: Plan, adapter: object) -> Iterator[NamedVideo]:
    """All videos of a plan, without running it; a dense row has one for each clip, seed and strength.

    Args:
        plan: the plan.
        adapter: makes the clips where there are no files.
    """
    prompts = [plan.clips.prompt(index, adapter) for index in range(len(plan.clips))]
    seen = set()
    for cell in plan.cells():
        path = video_path(plan, cell, prompts[cell.clip])
        if path not in seen:
            seen.add(path)
            yield NamedVideo(path=path, prompt=prompts[cell.clip], cell=cell)


def write_video(path: Path, pixels: Clip, fps: int) -> None:
    """Write a clip; the file gets its name when it is complete, and one that is there is replaced.

    Args:
        path: of the file; its folder is made.
        pixels: RGB in [0, 1].
        fps: frames per second.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape[2:]
    rate = Fraction(fps)
    with VideoWriter(path, width=width, height=height, time_base=1 / rate, frame_rate=rate) as writer:
        for index, frame in enumerate(pixels):
            writer.write(frame, pts=index, duration=1)


def adapter_of(plan: Plan) -> object:
    """The plan's adapter, not loaded."""
    from lipar.plugin.host import load_plugins
    from lipar.plugin.parts import make_streaming_adapter

    return make_streaming_adapter(load_plugins(), plan.base)
