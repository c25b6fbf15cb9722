"""VBench (Huang et al. 2024, arXiv 2311.17982) on the videos of an ablation: its commands, and what they found.

VBench and its weights are not part of lipar: a person who has them runs the commands.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from lipar.files.owner import Outputs
from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.videos import FOLDER, NamedVideo, adapter_of, group, named_videos

RESULTS = "vbench"
CUSTOM = (
    *("subject_consistency", "background_consistency", "motion_smoothness", "dynamic_degree"),
    *("aesthetic_quality", "imaging_quality"),
)
"""The dimensions that VBench 0.1.5 rates of any videos; the others need its own prompts (`vbench_standard`)."""


def groups(plan: Plan) -> list[str]:
    """Folders of videos, each once."""
    rows = {row.name: row for row in plan.rows}
    return list(dict.fromkeys(group(plan, rows[cell.row], cell) for cell in plan.cells()))


def commands(plan: Plan, folder: Path) -> list[str]:
    """The commands that rate every folder of videos in every dimension of the suite.

    Args:
        plan: has videos.
        folder: of the ablation.
    """
    assert plan.videos is not None
    found = []
    for name in groups(plan):
        for dimension in plan.videos.dimensions:
            mode = ["--mode=custom_input"] if dimension in CUSTOM and not plan.videos.standard else []
            where = [
                "--videos_path",
                str(folder / FOLDER / name),
                "--output_path",
                str(folder / RESULTS / name),
            ]
            found.append(shlex.join(["vbench", "evaluate", *where, "--dimension", dimension, *mode]))
    return found


def prepare(plan: Plan, folder: Path) -> list[NamedVideo]:
    """Make the folders, and write what will be in them: `videos.json`, `prompts.txt` and `vbench.sh`.

    Args:
        plan: has videos.
        folder: of the ablation.

    Raises:
        ValueError: a prompt cannot be in a file's name.
    """
    videos = list(named_videos(plan, adapter_of(plan)))
    for name in groups(plan):
        (folder / FOLDER / name).mkdir(parents=True, exist_ok=True)
    listed = [
        {
            "video": video.path.as_posix(),
            "prompt": video.prompt,
            "clip": video.cell.clip,
            "seed": video.cell.seed,
            "row": video.cell.row,
            "kept": video.cell.kept,
            "strength": video.cell.strength,
        }
        for video in videos
    ]
    prompts = dict.fromkeys(video.prompt for video in videos)
    texts = {
        "videos.json": json.dumps(listed, indent=1, ensure_ascii=False),
        "prompts.txt": "\n".join(prompts),
        "vbench.sh": "\n".join(["set -e", *commands(plan, folder.resolve())]),
    }
    with Outputs() as outputs:
        for name, text in texts.items():
            outputs.claim(folder.resolve() / name).write_text(text + "\n", "utf-8")
        outputs.publish()
    return videos


def read_results(plan: Plan, folder: Path) -> dict[str, dict[str, float]]:
    """What VBench found so far: the mean of each dimension, by folder of videos; the latest file counts.

    Args:
        plan: has videos.
        folder: of the ablation.

    Raises:
        ValueError: a file of results is none.
    """
    found: dict[str, dict[str, float]] = {}
    for name in groups(plan):
        files = sorted(
            (folder / RESULTS / name).glob("*_eval_results.json"), key=lambda path: path.stat().st_mtime
        )
        for path in files:
            try:
                means = {key: float(value[0]) for key, value in json.loads(path.read_text("utf-8")).items()}
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise ValueError(
                    f"{path} is no file of VBench's results, which have a list for each dimension, its mean first: "
                    f"{error}"
                ) from error
            found.setdefault(name, {}).update(means)
    return found


def dimensions(results: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """All dimensions that were rated, in the order in which they were."""
    return list(dict.fromkeys(dimension for rated in results.values() for dimension in rated))
