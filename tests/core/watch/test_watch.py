"""What all watching plugins have in common: they change nothing, and a failure of theirs does not end an edit."""

import json
from pathlib import Path

import pytest
from watched_edit import FRAMES, Remember, edit
from written_pictures import written_pictures

from lipar.hookspecs import hookimpl
from lipar.job import RestoredBlock
from lipar.plugin.host import PluginWarning
from lipar.watch.event_log import EventLog
from lipar.watch.masks import MaskRecorder
from lipar.watch.profile import Profile
from lipar.watch.progress import ProgressBar


def test_every_plugin_is_told_of_every_block_and_of_the_end(tmp_path: Path) -> None:
    remember = Remember()
    report = edit(tmp_path, remember)
    assert [block.first_frame for block, _ in remember.blocks] == [0, 3, 6]
    assert [count for _, count in remember.blocks] == [12, 12, 2]
    assert remember.ended == [(report, None)]


def test_watching_changes_no_pixel(tmp_path: Path) -> None:
    watchers = (
        ProgressBar(), Profile(tmp_path / "t.json"), EventLog(tmp_path / "e.jsonl"), MaskRecorder(tmp_path / "m.npy")
    )  # fmt: skip
    with written_pictures() as alone:
        edit(tmp_path)
    with written_pictures() as watched:
        edit(tmp_path, *watchers)
    assert len(alone["out.mp4"]) == FRAMES and alone == watched


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("watcher", [EventLog, Profile, MaskRecorder])
def test_a_full_disk_ends_the_watching_and_not_the_edit(watcher: type, tmp_path: Path) -> None:
    with pytest.warns(PluginWarning, match=f"No space left.*{watcher.__name__}.*the run goes on") as warned:
        report = edit(tmp_path, watcher(Path("/dev/full")))
    assert report.frames == FRAMES and (tmp_path / "out.mp4").is_file()
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("watcher", "name"), [(EventLog, "e.jsonl"), (MaskRecorder, "m.npy"), (Profile, "t.json")]
)
def test_a_second_run_leaves_the_file_of_the_first_alone(watcher: type, name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    class Second:
        """Runs another edit to the same file in the middle of the first."""

        @hookimpl
        def lipar_block_written(self, block: RestoredBlock) -> None:
            if block.first_frame == 3:
                (tmp_path / "second").mkdir()
                with pytest.warns(PluginWarning, match=f"another run is writing to .*{name} at this moment"):
                    edit(tmp_path / "second", watcher(path))

    edit(tmp_path / "", Second(), watcher(path))
    alone = tmp_path / f"alone-{name}"
    edit(tmp_path, watcher(alone))
    if watcher is MaskRecorder:
        assert path.read_bytes() == alone.read_bytes()
    else:
        kinds = [
            [
                line.get("event", line.get("name"))
                for line in json.loads(f"[{text}]" if watcher is EventLog else text)
            ]
            for text in (
                file.read_text().replace("}\n{", "},\n{") if watcher is EventLog else file.read_text()
                for file in (path, alone)
            )
        ]
        # at which block a frame was read or written is chance
        assert sorted(kinds[0]) == sorted(kinds[1])
