"""Pictures in the order they are shown, where a container stores only when they are decoded."""

from fractions import Fraction

import av
import pytest

from lipar.video import VideoReader
from lipar.video.testing import make_video, moving_gradient

CLIP = moving_gradient(24, 32, 32)


def times_of(path):
    with VideoReader(path) as reader:
        return [(frame.time, frame.duration * frame.time_base) for frame in reader]


@pytest.mark.parametrize("frames_between", [0, 1, 3])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("audio", [None, "pcm_s16le"])
def test_every_frame_of_an_avi_lasts_one_tick_whatever_its_order(tmp_path, frames_between, codec, audio):
    options = {"bf": str(min(frames_between, 2) if codec == "mpeg4" else frames_between)}
    options |= {"b_strategy": "0", "crf": "4"} if codec == "libx264" else {"qmin": "1", "qmax": "1"}
    path = make_video(tmp_path / "in.avi", CLIP, codec=codec, options=options, audio=audio)
    with VideoReader(path) as reader:
        frames = list(reader)
    assert [frame.duration * frame.time_base for frame in frames] == [Fraction(1, 24)] * 24
    assert frames[0].pts == 0
    blues = [float(frame.rgb[2].float().mean()) for frame in frames]
    assert blues == sorted(blues)


def test_decoding_times_in_the_place_of_presentation_times_are_put_in_order(tmp_path):
    source = make_video(tmp_path / "in.mp4", CLIP, options={"crf": "4", "bf": "2", "b_strategy": "0"})
    wrong = tmp_path / "wrong.mkv"
    with av.open(str(source)) as container, av.open(str(wrong), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for index, packet in enumerate(container.demux(video=0)):
            if packet.size:
                packet.stream = stream
                packet.pts = packet.dts = index * 512
                copy.mux(packet)
    times = times_of(wrong)
    assert [float(lasts) for _, lasts in times] == pytest.approx([1 / 24] * 24, abs=0.002)
