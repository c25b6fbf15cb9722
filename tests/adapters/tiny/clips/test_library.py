"""The store of pictures."""

import torch

from lipar_adapters.tiny.clips.library import Library, build_library, chosen


def test_libraries_of_one_seed_are_the_same_and_held_back_ones_differ(library: Library) -> None:
    again, held_back = (build_library("cpu", None, 2, 4, held_back=part) for part in (False, True))
    assert torch.equal(library.canvases, again.canvases) and torch.equal(library.sprites, again.sprites)
    assert not torch.equal(library.canvases, held_back.canvases)


def test_one_group_in_thirteen_is_held_back() -> None:
    kept, held_back = (chosen(6 * 26, 6, part) for part in (False, True))
    assert sorted(kept + held_back) == list(range(6 * 26))
    assert held_back == [*range(72, 78), *range(150, 156)]


def test_shapes_come_in_pairs_of_one_form_in_two_colours(library: Library) -> None:
    words = library.sprite_words[: library.shapes]
    assert all(one[1] == other[1] and one[0] != other[0] for one, other in zip(words[::2], words[1::2]))
