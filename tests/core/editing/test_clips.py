"""Several clips with one model: what failed does not stop the others, what is finished is not done again."""

import json
import os
from contextlib import nullcontext
from pathlib import Path

import attrs
import pytest
import torch
from output_files import names

from lipar.config import Config, build_config
from lipar.editing.clip_jobs import jobs_for
from lipar.editing.clips import RECORD, ClipOutcome, edit_clips
from lipar.editing.run import edit_video
from lipar.events import EditOptions
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, write_synthetic_clip
from lipar.video.encoding import DEFAULT_ENCODING
from lipar.video.sources.part import Part
from lipar.video.sources.reading import Reading

OPTIONS = EditOptions(prompt="night", output=Path(), resolution=(32, 32))


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Three clips, of which the second is none."""
    found = [
        write_synthetic_clip(tmp_path / f"{name}.mp4", frames=14, width=32, height=32, seed=seed)
        for seed, name in enumerate("abc")
    ]
    found[1].write_bytes(b"no video")
    return found


def edit(
    clips: list[Path],
    config: Config | None = None,
    options: EditOptions = OPTIONS,
    model: ToyModel | None = None,
) -> list[ClipOutcome]:
    jobs = jobs_for(clips, clips[0].parent / "out", DEFAULT_ENCODING)
    return list(
        edit_clips(
            model or ToyModel(autoencoder=ToyAutoencoder()),
            config or build_config(),
            options,
            jobs,
            host=load_plugins(),
            watching=lambda index, job: nullcontext(),
        )
    )


def kinds(outcomes: list[ClipOutcome]) -> str:
    return " ".join("failed" if one.error else "edited" if one.report else "finished" for one in outcomes)


def test_a_clip_that_fails_stops_no_other_and_each_is_as_if_edited_alone(
    clips: list[Path], tmp_path: Path
) -> None:
    model = ToyModel(autoencoder=ToyAutoencoder())
    outcomes = edit(clips, model=model)
    assert kinds(outcomes) == "edited failed edited"
    assert "is no video that can be read" in str(outcomes[1].error)
    assert names(tmp_path / "out") == ["a.mp4", "c.mp4", RECORD]
    alone = attrs.evolve(OPTIONS, source=clips[2], output=tmp_path / "alone.mp4")
    edit_video(ToyModel(autoencoder=ToyAutoencoder()), build_config(), alone, host=load_plugins())
    assert (tmp_path / "alone.mp4").read_bytes() == (tmp_path / "out" / "c.mp4").read_bytes()


def test_a_second_call_edits_only_what_failed(clips: list[Path]) -> None:
    edit(clips)
    write_synthetic_clip(clips[1], frames=5, width=32, height=32)
    assert kinds(edit(clips)) == "finished edited finished"
    assert kinds(edit(clips)) == "finished finished finished"


@pytest.mark.parametrize("what", ["prompt", "config", "part", "source", "result", "dtype", "record"])
def test_a_clip_is_edited_again_when_anything_it_was_made_of_changed(clips: list[Path], what: str) -> None:
    clips = [clips[0]]
    edit(clips)
    config, options, model = build_config(), OPTIONS, ToyModel(autoencoder=ToyAutoencoder())
    out = clips[0].parent / "out"
    if what == "prompt":
        options = attrs.evolve(options, prompt="day")
    elif what == "config":
        config = build_config(settings=["seed=3"])
    elif what == "part":
        options = attrs.evolve(options, reading=Reading(part=Part.of("2f-")))
    elif what == "source":
        os.utime(clips[0], ns=(1, 1))
    elif what == "result":
        (out / "a.mp4").write_bytes(b"another")
    elif what == "record":
        (out / RECORD).write_text("[]")
    else:
        model = ToyModel(autoencoder=ToyAutoencoder(), dtype=torch.float64)
    assert kinds(edit(clips, config, options, model)) == "edited"


def test_an_interrupt_ends_all_and_keeps_what_was_finished(
    clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [clips[0], clips[2]]
    real, calls = edit_video, []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr("lipar.editing.clips.edit_video", interrupted)
    with pytest.raises(KeyboardInterrupt) as error:
        edit(clips)
    assert f"{RECORD} keeps what was finished; run the same command again to go on" in error.value.__notes__
    assert list(json.loads((clips[0].parent / "out" / RECORD).read_text())) == ["a.mp4"]
    monkeypatch.undo()
    assert kinds(edit(clips)) == "finished edited"


def test_two_runs_do_not_write_to_one_folder(clips: list[Path]) -> None:
    jobs = jobs_for(clips[:1], clips[0].parent / "out", DEFAULT_ENCODING)
    model, host = ToyModel(autoencoder=ToyAutoencoder()), load_plugins()
    running = edit_clips(
        model, build_config(), OPTIONS, jobs, host=host, watching=lambda index, job: nullcontext()
    )
    next(running)
    with pytest.raises(VideoError, match="another run is writing there"):
        edit(clips[:1])
    running.close()
