"""The clips: files, or clips that an adapter makes."""

from pathlib import Path

import attrs
import pytest
from lab_toys import ToyClips, toy_loaded

from lipar.video import VideoWriter, synthetic_clip
from lipar_lab.ablation.clips import ClipSource


def test_files_are_read_at_the_model_s_size_and_prompts_rotate(tmp_path: Path) -> None:
    from fractions import Fraction

    paths = []
    for name in ("a", "b", "c"):
        paths.append(tmp_path / f"{name}.mp4")
        with VideoWriter(paths[-1], width=96, height=96, time_base=Fraction(1, 10)) as writer:
            for frame in synthetic_clip(26, 96, 96):
                writer.write(frame.rgb, pts=frame.index, duration=1)
    source = ClipSource(paths=tuple(paths), prompts=("night", "snow"), pixel_frames=24)
    clips = [source.get(index, object(), toy_loaded().model) for index in range(len(source))]
    assert [(clip.name, clip.prompt) for clip in clips] == [("a", "night"), ("b", "snow"), ("c", "night")]
    assert clips[0].pixels.shape == (24, 3, 64, 64)
    assert clips[0].target is None
    with pytest.raises(ValueError, match="has 26 frames, the ablation takes 36"):
        attrs.evolve(source, pixel_frames=36).get(0, object(), toy_loaded().model)
    with pytest.raises(ValueError, match="makes no clips; name video files"):
        ClipSource().get(0, object(), toy_loaded().model)


def test_clips_without_files_are_made_by_the_adapter() -> None:
    source = ClipSource(count=3, pixel_frames=24, size=32)
    clip = source.get(2, ToyClips(), toy_loaded().model)
    assert len(source) == 3 and clip.name == "toy-2" and clip.pixels.shape == (24, 3, 32, 32)
