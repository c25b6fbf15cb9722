"""The real clips: copied at their size, they are what they were."""

from pathlib import Path

import pytest

from lipar.video import VideoReader, VideoWriter

CLIPS = Path(__file__).resolve().parents[2] / ".." / "shared" / "clips"
NAMES = ("breakdance", "dog", "skater", "tea-pour", "woman-running")


@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs the clips of ../shared, which are not part of the repo")
@pytest.mark.parametrize("name", NAMES)
def test_a_real_clip_is_copied_frame_by_frame(tmp_path, name):
    source, target = CLIPS / f"{name}.mp4", tmp_path / "out.mp4"
    limit = 12
    written, errors = [], []
    with VideoReader(source) as reader, VideoWriter.like(target, reader.info) as writer:
        for frame in reader.take(limit):
            writer.write(frame.rgb, pts=frame.pts, duration=frame.duration)
            written.append(frame.time)
    with VideoReader(source) as before, VideoReader(target) as after:
        size = (before.info.width, before.info.height)
        assert (after.info.width, after.info.height) == size
        for old, new in zip(before.take(limit), after):
            errors.append(float((old.unit() - new.unit()).square().mean()))
            assert new.time == written[new.index]
    assert len(errors) == limit
    assert max(errors) < 10**-3.6  # 36 dB
