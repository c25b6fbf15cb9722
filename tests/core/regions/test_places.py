"""Which places of a frame are decoded again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.regions.places import MOST_RUNS, Cost, Rect, changed_cells, grown_cells, rectangles


@st.composite
def masks(draw, most=12):
    rows, cols = draw(st.integers(1, most)), draw(st.integers(1, most))
    bits = draw(st.lists(st.booleans(), min_size=rows * cols, max_size=rows * cols))
    return torch.tensor(bits).view(rows, cols)


def covered(rects, shape):
    count = torch.zeros(shape, dtype=torch.int)
    for rect in rects:
        rect.of(count).add_(1)
    return count


@given(masks(), st.sampled_from([Cost(0.0, 0.0), Cost(2.0, 3.0), Cost(2.0, 40.0)]))
def test_rectangles_are_disjoint_inside_the_frame_and_cover_all_cells(cells, cost):
    rects = rectangles(cells, cost)
    assert all(
        0 <= r.top < r.bottom <= cells.shape[0] and 0 <= r.left < r.right <= cells.shape[1] for r in rects
    )
    count = covered(rects, cells.shape)
    assert count.max() <= 1 and bool((count[cells] == 1).all())
    assert rects or not cells.any()


@given(masks(most=6))
def test_rectangles_hold_nothing_else_where_calls_and_margins_are_free(cells):
    assert torch.equal(covered(rectangles(cells, Cost(0.0, 0.0)), cells.shape) == 1, cells)


def test_rectangles_are_joined_where_one_costs_less():
    cells = torch.zeros(4, 10, dtype=torch.bool)
    cells[1, 1:4] = cells[1, 5:8] = True
    assert len(rectangles(cells, Cost(0.0, 0.0))) == 2
    assert rectangles(cells, Cost(0.0, 5.0)) == [Rect(1, 2, 1, 8)]


def test_a_mask_of_many_runs_is_coarsened():
    cells = torch.zeros(41, 61, dtype=torch.bool)
    cells[::2, ::2] = True
    rects = rectangles(cells, Cost(0.0, 0.0))
    assert len(rects) <= MOST_RUNS
    assert bool((covered(rects, cells.shape)[cells] == 1).all())


@given(masks(), st.integers(0, 3))
def test_grown_cells_are_those_within_the_halo(cells, halo):
    grown = grown_cells(cells, halo)
    for row in range(cells.shape[0]):
        for col in range(cells.shape[1]):
            near = cells[max(row - halo, 0) : row + halo + 1, max(col - halo, 0) : col + halo + 1]
            assert bool(grown[row, col]) == bool(near.any())


def frames(*values):
    return torch.tensor(values).view(1, -1, 1, 1, 1).expand(1, -1, 2, 3, 4).clone()


def test_the_first_frame_is_all_new_and_an_equal_one_is_not():
    changed, shown = changed_cells(frames(1.0, 1.0), None, 0.0)
    assert changed[0].all() and not changed[1].any()
    assert not changed_cells(frames(1.0), shown, 0.0)[0].any()


def test_a_change_in_one_channel_of_one_video_is_a_change():
    latents = frames(1.0, 1.0).repeat(2, 1, 1, 1, 1)
    latents[1, 1, 0, 2, 3] = 2.0
    changed, _ = changed_cells(latents, None, 0.0)
    assert changed[1].nonzero().tolist() == [[2, 3]]


def test_small_changes_add_up_to_one():
    changed, _ = changed_cells(frames(1.0, 1.3, 1.6, 1.9), None, 0.5)
    assert [bool(one.all()) for one in changed] == [True, False, True, False]


def test_a_tolerance_may_differ_by_channel():
    latents = frames(1.0, 1.3)
    tolerance = torch.tensor([0.5, 0.2]).view(-1, 1, 1)
    assert changed_cells(latents, None, tolerance)[0][1].all()
    assert not changed_cells(latents[:, :, :1], None, tolerance[:1])[0][1].any()


def test_nan_is_a_change():
    latents = frames(1.0, 1.0)
    latents[0, 1, 0, 0, 0] = torch.nan
    assert changed_cells(latents, None, 1.0)[0][1].nonzero().tolist() == [[0, 0]]


@pytest.mark.parametrize("factor", [1, 2, 8])
def test_a_scaled_rectangle_is_the_same_place(factor):
    cells = torch.arange(30).view(5, 6)
    fine = cells.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    rect = Rect(1, 3, 2, 6)
    assert torch.equal(rect.scaled(factor).of(fine)[::factor, ::factor], rect.of(cells))


def test_a_grown_and_clipped_rectangle_has_the_first_one_within():
    rect, frame = Rect(0, 2, 3, 6), Rect(0, 5, 0, 8)
    cut = rect.grown(2).clipped(frame)
    assert cut == Rect(0, 4, 1, 8)
    values = torch.arange(40).view(5, 8)
    assert torch.equal(rect.within(cut).of(cut.of(values)), rect.of(values))
