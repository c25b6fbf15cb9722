"""Arguments of a forward are read and replaced by name, however they were given."""

import pytest

from lipar_adapters.stock.arguments import Arguments

NAMES = ("latents", "timestep", "prompt")


@pytest.mark.parametrize("by_position", [0, 1, 2, 3])
def test_an_argument_is_replaced_where_it_was_given(by_position: int) -> None:
    args = ("a", "b", "c")[:by_position]
    kwargs = dict(zip(NAMES[by_position:], ("a", "b", "c")[by_position:], strict=True))
    call = Arguments(NAMES, args, kwargs)
    assert [call[name] for name in NAMES] == ["a", "b", "c"]
    call["timestep"] = "new"
    assert [call[name] for name in NAMES] == ["a", "new", "c"]
    assert (len(call.args), len(call.kwargs)) == (by_position, 3 - by_position)
    assert kwargs.get("timestep") in (None, "b")  # the caller's own are left alone


def test_what_was_not_given_is_none() -> None:
    call = Arguments(NAMES, ("a",), {})
    assert call.get("latents") == "a"
    assert call.get("prompt") is None
