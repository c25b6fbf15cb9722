"""Hundreds of damaged and odd videos: read, read with a warning, or refused, and no frame is lost silently."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "fuzz_videos.py"
VIDEOS, BATCH = 360, 40
SECONDS_PER_BATCH = 240
FINE = {"whole", "warned", "refused"}


def run_batch(folder: Path, first: int) -> list[dict[str, object]]:
    """Give what became of each video of a batch, the last of which may have hung or crashed."""
    command = [sys.executable, TOOL, folder, first, BATCH]
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, timeout=SECONDS_PER_BATCH, check=False
        )
        output, end = done.stdout, f"crash ({done.returncode}): {done.stderr.decode()[-2000:]}"
    except subprocess.TimeoutExpired as error:
        output, end = error.stdout or b"", "hang"
    results = []
    for line in output.decode().splitlines():
        video, verdict = re.fullmatch(r"({.*?})(?: ({.*}))?\s*", line).groups()
        results.append(json.loads(video) | json.loads(verdict or json.dumps({"verdict": end, "said": ""})))
    if len(results) < BATCH and (not results or results[-1]["verdict"] != end):
        results.append({"number": first + len(results), "video": "?", "verdict": end, "said": ""})
    return results


@pytest.mark.slow
def test_no_damaged_video_ends_in_a_traceback_a_hang_or_a_silent_loss(tmp_path, capsys):
    results = []
    for first in range(0, VIDEOS, BATCH):
        folder = tmp_path / str(first)
        folder.mkdir()
        results += run_batch(folder, first)
    counts = Counter(str(result["verdict"]) for result in results)
    with capsys.disabled():
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        print(f"\n{len(results)} damaged and odd videos: {told}")
    assert [result for result in results if result["verdict"] not in FINE] == []
    assert len(results) == VIDEOS
    # the damage is neither too light nor too heavy to mean anything
    assert all(counts[verdict] >= VIDEOS // 20 for verdict in FINE)
