"""A refiner on a stream sees each frame with its halo, wherever the stream is cut."""

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.masks.halo import HaloBuffer, join_changes
from lipar.protocols import Change, Refiner
from lipar.testing.strategies import splits


@attrs.frozen(eq=False)
class Window(Refiner):
    """Adds the distances of the frames from `past_frames` before to `future_frames` after."""

    past_frames: int
    future_frames: int
    border: str = "replicate"

    def __call__(self, change):
        size = self.past_frames + self.future_frames + 1
        summed = change.distance.unfold(0, size, 1).sum(-1)
        return attrs.evolve(change.inner(self.past_frames, self.future_frames), distance=summed)


def change_of(distance):
    return Change(
        distance=distance,
        raw=distance,
        long_term=torch.zeros_like(distance),
        keep=None,
        tau_short=1.0,
        tau_long=2.0,
    )


def numbered(frames):
    return torch.arange(1.0, frames + 1).reshape(-1, 1, 1)


@given(
    st.data(), st.integers(0, 2), st.integers(0, 2), st.integers(1, 8), st.sampled_from(["replicate", "zero"])
)
def test_a_stream_gives_each_frame_once_with_its_whole_halo(data, past, future, frames, border):
    buffer, given_back = HaloBuffer(Window(past, future, border)), []
    for piece in numbered(frames).split(data.draw(splits(frames))):
        refined = buffer.push(change_of(piece))
        given_back += [] if refined is None else [refined]
        assert sum(one.frames for one in given_back) <= frames
    rest = buffer.flush()
    given_back += [] if rest is None else [rest]
    inner = numbered(frames)
    before, after = (inner[:1], inner[-1:]) if border == "replicate" else (torch.zeros(1, 1, 1),) * 2
    padded = torch.cat([before.expand(past, -1, -1), inner, after.expand(future, -1, -1)])
    expected = padded.unfold(0, past + future + 1, 1).sum(-1)
    assert torch.equal(torch.cat([one.distance for one in given_back]), expected)
    assert buffer.flush() is None


@pytest.mark.parametrize(("past", "future", "late"), [(0, 0, 0), (2, 0, 0), (0, 2, 2), (1, 1, 1)])
def test_answers_are_as_late_as_the_refiner_looks_ahead(past, future, late):
    buffer, count = HaloBuffer(Window(past, future)), 0
    for frame in range(6):
        refined = buffer.push(change_of(numbered(6)[frame : frame + 1]))
        count += 0 if refined is None else refined.frames
        assert count == max(frame + 1 - late, 0)


def test_joined_changes_have_a_mask_only_if_both_have():
    bare, masked = (
        change_of(numbered(1)),
        attrs.evolve(change_of(numbered(1)), keep=torch.ones(1, 1, 1, dtype=bool)),
    )
    assert join_changes(bare, masked).keep is None
    assert join_changes(masked, masked).keep.shape[0] == 2
    assert join_changes(bare, attrs.evolve(bare, tau_short=3.0)).tau_short == 3.0
