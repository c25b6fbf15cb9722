"""The redundancy map: the source, and the change beside it."""

import torch
from analyze_toys import clip_file, toy_coder

from lipar.files.owner import Outputs
from lipar.video import VideoReader
from lipar_lab.analyze.heat_map import map_frames, write_map


def test_what_changes_is_bright_from_the_second_patch_on_and_the_source_is_on_the_left(tmp_path):
    coder = toy_coder()
    clip = coder.read(clip_file(tmp_path))
    change = torch.zeros(3, 3, 4)
    change[0, 1, 2] = 1.0
    pictures = map_frames(clip, change, coder)
    assert torch.equal(pictures[..., :32], clip.pixels)
    right = pictures[..., 32:]
    assert torch.equal(right[:8], clip.pixels[:8].mean(1, keepdim=True).expand(-1, 3, -1, -1))
    changed = right[8, :, 8:16, 16:24].mean()
    same = right[16, :, 8:16, 16:24].mean()
    assert changed > same + 0.3


def test_the_video_has_the_frames_and_times_of_the_source(tmp_path):
    coder, source = toy_coder(), clip_file(tmp_path)
    clip = coder.read(source)
    path = (tmp_path / "map.mp4").resolve()
    with Outputs() as outputs:
        write_map(path, map_frames(clip, torch.zeros(3, 3, 4), coder), clip, outputs)
        outputs.publish()
    with VideoReader(path) as made, VideoReader(source) as original:
        assert (made.info.width, made.info.height) == (64, 24)
        times = [frame.pts * frame.time_base for frame in made]
        assert times == [frame.pts * frame.time_base for frame in original][: len(times)]
        assert len(times) == 32
