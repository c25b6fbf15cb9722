"""Watching an edit: one timer measures; a bar, a table, a trace, a log and a mask file tell of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.cli.loading import loading
from lipar.config import Config, build_config
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport, Span
from lipar.files.locks import GrowingFile, check_unlocked
from lipar.hookspecs import hookimpl
from lipar.job import RestoredBlock
from lipar.layout import TokenLayout
from lipar.plugin.host import PluginWarning, load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoReader
from lipar.watch.event_log import EventLog
from lipar.watch.masks import MaskRecorder
from lipar.watch.profile import Profile
from lipar.watch.progress import ProgressBar
from lipar.watch.stages import seconds_per_stage

FRAMES = 26  # two blocks of the toy model and a bit


class Remember:
    """Keeps what it is told."""

    def __init__(self):
        self.blocks, self.spans, self.ended = [], [], []

    @hookimpl
    def lipar_block_written(self, block, pixel_frames, spans):
        self.blocks.append((block, pixel_frames))
        self.spans.append(spans)

    @hookimpl
    def lipar_edit_ended(self, report, error, spans):
        self.ended.append((report, error))
        self.spans.append(spans)


class Stop:
    """Ends the edit in its second block."""

    def __init__(self, error):
        self.error = error

    @hookimpl
    def lipar_restore(self, layout):
        if layout.first_frame >= 3:
            raise self.error


def edit(
    folder: Path, *watchers: object, config: Config | None = None, frames: int = FRAMES, **options: object
) -> EditReport:
    asked = EditOptions(prompt="night", output=folder / "out.mp4", synthetic_frames=frames, **options)
    host = load_plugins()
    with host.extended(*watchers):
        return edit_video(ToyModel(autoencoder=ToyAutoencoder()), config or build_config(), asked, host=host)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_plugin_is_told_of_every_block_and_of_the_end(tmp_path: Path) -> None:
    remember = Remember()
    report = edit(tmp_path, remember)
    assert [block.first_frame for block, _ in remember.blocks] == [0, 3, 6]
    assert [count for _, count in remember.blocks] == [12, 12, 2]
    assert remember.ended == [(report, None)]


def test_the_spans_that_are_told_add_up_to_the_report(tmp_path: Path) -> None:
    remember = Remember()
    report = edit(tmp_path, remember, frames=60)  # five blocks, of which the last three are run both ways
    told = seconds_per_stage(span for spans in remember.spans for span in spans)
    probed = told.pop("dense probe")
    assert told == pytest.approx(report.stage_seconds)
    assert probed > 0
    assert sum(told.values()) <= report.seconds + probed


def test_a_span_of_the_dit_knows_its_step(tmp_path: Path) -> None:
    remember = Remember()
    edit(tmp_path, remember)
    first = [(span.stage, span.step) for span in remember.spans[0]]
    assert first == [
        ("decode", None), ("encode", None), ("mask", None), ("DiT", 0), ("DiT", 1), ("restore", None),
        ("clean pass", -1), ("decode to pixels", None), ("write", None),
    ]  # fmt: skip


def test_watching_changes_no_pixel(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    edit(tmp_path / "a")
    watchers = (
        ProgressBar(), Profile(tmp_path / "t.json"), EventLog(tmp_path / "e.jsonl"), MaskRecorder(tmp_path / "m.npy")
    )  # fmt: skip
    edit(tmp_path / "b", *watchers)
    with VideoReader(tmp_path / "a" / "out.mp4") as a, VideoReader(tmp_path / "b" / "out.mp4") as b:
        assert all(torch.equal(x.rgb, y.rgb) for x, y in zip(a, b, strict=True))


class Bar:
    """Notes where a bar stands and what is said beside it."""

    disable = False

    def __init__(self, total: int, **_: object) -> None:
        self.total, self.n, self.seen = total, 0, []

    def update(self, by: int) -> None:
        self.n += by

    def set_postfix_str(self, doing: str, refresh: bool = True) -> None:
        self.seen.append((self.n, doing))

    def close(self) -> None:
        self.seen.append((self.n, "closed"))


def test_the_bar_moves_with_every_step_of_a_block_and_ends_at_the_clips_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Bar] = []
    monkeypatch.setattr(
        "lipar.watch.progress.tqdm", lambda **options: bars.append(Bar(**options)) or bars[-1]
    )
    edit(tmp_path, ProgressBar())
    (bar,) = bars
    # 12 pixel frames in 4 parts: two denoise steps, clean pass, decoding; of the last block only 2 are shown
    block = ["deciding what to compute", "step 1 of 2", "step 2 of 2", "clean pass", "decoding to pixels"]
    stands = [*[0, 0, 3, 6, 9], *[12, 12, 15, 18, 21], *[24, 24, 26, 26, 26], 26, 26]
    assert bar.seen == [*zip(stands, [*block * 3, "", "closed"], strict=True)]


def test_a_bar_of_a_clip_whose_length_is_not_known_ends_at_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(total=None)
    monkeypatch.setattr("lipar.watch.progress.tqdm", lambda **_: bar)
    edit(tmp_path, ProgressBar())
    assert bar.seen[-1] == (26, "closed")


def test_nothing_is_shown_where_standard_error_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(tmp_path, ProgressBar())
    with loading("the model"):
        pass
    assert capsys.readouterr().err == ""


def test_a_line_stands_on_a_terminal_while_something_is_loading(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with loading("the model tiny"):
        assert "loading the model tiny ..." in capsys.readouterr().err
    with loading("the model tiny", quiet=True):
        assert "loading" not in capsys.readouterr().err


# --- the table and the trace --------------------------------------------------------------------------------------


def test_the_table_has_every_stage_with_shares_that_add_up(tmp_path: Path) -> None:
    profile = Profile()
    edit(tmp_path, profile, frames=60)
    rows = [line.split() for line in profile.table().splitlines()[1:-1]]
    assert {"DiT", "decode", "encode", "mask", "restore", "write", "other"} <= {row[0] for row in rows}
    shares = [float(row[row.index("%") - 1]) for row in rows]
    assert sum(shares) == pytest.approx(100, abs=0.1 * len(shares))


def test_mean_and_longest_are_those_of_the_spans() -> None:
    profile = Profile()
    times = [(0.0, 1.0), (1.0, 3.0)]
    spans = [Span(stage="DiT", start=a, seconds=b, step=i) for i, (a, b) in enumerate(times)]
    profile.lipar_edit_ended(spans)
    assert profile.table().splitlines()[1].split() == ["DiT", "100.0", "%", "4.00", "2", "2000.00", "3000.00"]


def test_the_trace_is_json_whose_events_nest_block_stage_step(tmp_path: Path) -> None:
    edit(tmp_path, Profile(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    spans = [event for event in events if event["ph"] == "X"]

    def inside(name: str) -> list[str]:
        outer = next(span for span in spans if span["name"] == name)
        begin, end = outer["ts"], outer["ts"] + outer["dur"]
        within = [s for s in spans if begin <= s["ts"] and s["ts"] + s["dur"] <= end + 0.2 and s is not outer]
        return [span["name"] for span in within]

    assert {"decode", "encode", "DiT", "step 0", "step 1", "clean pass", "write"} <= set(inside("block 0"))
    assert inside("DiT") == ["step 0", "step 1"]
    assert next(event["args"]["kept fraction"] for event in events if event["ph"] == "C") == 1.0


def test_the_trace_of_an_interrupted_edit_holds_the_blocks_that_were_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        edit(tmp_path, Profile(tmp_path / "trace.json"), Stop(KeyboardInterrupt()))
    names = {event["name"] for event in json.loads((tmp_path / "trace.json").read_text())}
    assert "block 0" in names and "block 1" not in names


# --- the log ------------------------------------------------------------------------------------------------------


def test_the_log_says_with_what_it_began_what_each_block_did_and_how_it_ended(tmp_path: Path) -> None:
    report = edit(tmp_path, EventLog(tmp_path / "e.jsonl", load_plugins().plugins))
    begin, *blocks, end = lines(tmp_path / "e.jsonl")
    assert [begin["event"], *(b["event"] for b in blocks), end["event"]] == ["begin", *["block"] * 3, "end"]
    assert begin["versions"]["torch"] == torch.__version__
    assert begin["config"]["recovery"]["name"] == "m-degree" and begin["frames"] == FRAMES
    assert [block["block"] for block in blocks] == [0, 1, 2]
    assert [block["scene_begins"] for block in blocks] == [True, False, False]
    assert all(block["kept_fraction"] == block["kept"] / block["tokens"] for block in blocks)
    assert all("DiT" in block["seconds"] for block in blocks)
    assert (end["error"], end["report"]["frames"]) == (None, report.frames)


def test_a_log_line_is_on_the_disk_before_the_next_block_begins(tmp_path: Path) -> None:
    class Look:
        seen: list[int] = []

        @hookimpl
        def lipar_prune(self) -> None:
            self.seen.append(len((tmp_path / "e.jsonl").read_text().splitlines()))

    edit(tmp_path, EventLog(tmp_path / "e.jsonl"), Look())
    assert Look.seen == [1, 2, 3]


def test_the_log_of_an_interrupted_edit_says_what_stopped_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lost the device"):
        edit(tmp_path, EventLog(tmp_path / "e.jsonl"), Stop(RuntimeError("lost the device")))
    begin, block, end = lines(tmp_path / "e.jsonl")
    assert (begin["event"], block["block"]) == ("begin", 0)
    assert end["error"] == "RuntimeError: lost the device"


def test_a_new_log_replaces_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("an older run\n")
    edit(tmp_path, EventLog(tmp_path / "e.jsonl"))
    assert len(lines(tmp_path / "e.jsonl")) == 5


# --- masks --------------------------------------------------------------------------------------------------------


def test_recorded_masks_are_those_of_the_edit(tmp_path: Path) -> None:
    remember = Remember()
    edit(tmp_path, MaskRecorder(tmp_path / "m.npy"), remember)
    recorded = np.load(tmp_path / "m.npy")
    assert recorded.dtype == bool
    assert torch.equal(
        torch.from_numpy(recorded), torch.cat([block.layout.keep_mask for block, _ in remember.blocks])
    )


def test_masks_of_an_interrupted_edit_hold_the_blocks_that_were_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        edit(tmp_path, MaskRecorder(tmp_path / "m.npy"), Stop(KeyboardInterrupt()))
    assert np.load(tmp_path / "m.npy").shape[0] == 3


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_the_mask_file_is_whole_after_every_block(
    tmp_path_factory: pytest.TempPathFactory, blocks: int, frames: int, rows: int, cols: int
) -> None:
    path = tmp_path_factory.mktemp("masks") / "m.npy"
    path.write_bytes(b"an older file, longer than the header of the new one" * 9)
    recorder = MaskRecorder(path)
    pushed = []
    for index in range(blocks):
        keep = torch.rand(frames, rows, cols) < 0.5
        keep[0] |= index == 0
        pushed.append(keep)
        layout = TokenLayout(keep, first_frame=index * frames, has_history=index > 0)
        latents = torch.zeros(1, frames, 1, rows, cols)
        recorder.lipar_block_written(
            RestoredBlock(
                latents=latents, layout=layout, first_frame=index * frames, seconds=0.0, dense_seconds=None
            )
        )
        if index in (0, blocks - 1):
            assert torch.equal(torch.from_numpy(np.load(path)), torch.cat(pushed))


# --- when watching fails ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("watcher", [EventLog, Profile, MaskRecorder])
def test_a_full_disk_ends_the_watching_and_not_the_edit(watcher: type, tmp_path: Path) -> None:
    with pytest.warns(PluginWarning, match=f"No space left.*{watcher.__name__}.*the run goes on") as warned:
        report = edit(tmp_path, watcher(Path("/dev/full")))
    assert report.frames == FRAMES and (tmp_path / "out.mp4").is_file()
    assert len(warned) == 1


def test_an_edit_can_be_run_again_with_its_recorded_masks(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "watching.md").read_text("utf-8")
    namespace: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], namespace)
    remember = Remember()
    report = edit(tmp_path, MaskRecorder(tmp_path / "m.npy"))
    # thresholds that would keep nothing by themselves
    far = build_config(settings=["prune.tau_short=99", "prune.tau_long=99"])
    again = edit(tmp_path, namespace["Replay"](tmp_path / "m.npy"), remember, config=far)
    assert again.kept_fraction == report.kept_fraction < 1
    assert np.array_equal(
        np.load(tmp_path / "m.npy"), np.concatenate([block.layout.keep_mask for block, _ in remember.blocks])
    )


# --- two runs to one file -----------------------------------------------------------------------------------------


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
        assert kinds[0] == kinds[1]


def test_a_growing_file_is_free_again_when_its_run_has_ended(tmp_path: Path) -> None:
    first, second = GrowingFile(tmp_path / "a"), GrowingFile(tmp_path / "a")
    (tmp_path / "a").write_text("an older and longer file")
    first.begin(b"fir")
    first.append(b"st")
    with pytest.raises(
        VideoError, match=r"another run is writing to .*a at this moment; wait until it has ended"
    ):
        second.begin(b"")
    with pytest.raises(VideoError, match="another run"):
        check_unlocked(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"first"
    first.end()
    check_unlocked(tmp_path / "a")
    second.begin(b"2")
    second.end()
    assert (tmp_path / "a").read_bytes() == b"2"
