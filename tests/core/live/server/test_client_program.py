"""The program on the page for programs runs as it is written there."""

import json
import re
import subprocess
import sys
from pathlib import Path

from live_server import PATIENCE, SIZE, live_server
from PIL import Image

from lipar.video import write_synthetic_clip

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "live-programs.md"


def test_the_program_of_the_documents_edits_a_video(tmp_path: Path) -> None:
    program = re.search(r"```python\n(\"\"\"python live_client.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert program is not None
    clip = tmp_path / "in.mp4"
    write_synthetic_clip(clip, frames=12, width=160, height=120)
    with live_server() as server:
        done = subprocess.run(
            [sys.executable, "-c", program[1], server.stream, clip, "6"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["settings"]["prompt"] == "snow"
    edited = sorted(tmp_path.glob("edited-*.jpg"))
    assert len(edited) == 6
    with Image.open(edited[0]) as picture:
        assert picture.size == SIZE
