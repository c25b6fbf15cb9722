"""Laws for criteria."""

from collections.abc import Callable

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lipar.masks.measure import LatentReader
from lipar.masks.source import SourceFormat
from lipar.protocols import Criterion
from lipar.testing.closeness import assert_near, spread
from lipar.testing.contracts.law import behind_guard, law, passes
from lipar.testing.strategies import features
from lipar.types import Features

SOURCES = features(frames=st.integers(2, 4), rows=st.integers(1, 5), cols=st.integers(1, 5))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@law("criterion")
@given(source=SOURCES)
def gives_a_finite_distance_for_each_token_and_none_below_zero(
    make: Callable[[], Criterion], source: Features
) -> None:
    """On the device of its arguments."""
    for device in DEVICES:
        current = source.to(device)
        distance = make()(current, current.flip(0))
        assert distance.shape == source.shape[:-1], list(distance.shape)
        assert distance.device == current.device
        assert distance.dtype.is_floating_point
        assert bool(distance.isfinite().all())
        assert bool((distance >= 0).all())


@law("criterion")
@given(source=SOURCES, scale=st.sampled_from([0.0, 1e-30, 1.0, 1e6]))
def finds_no_distance_between_equal_tokens(
    make: Callable[[], Criterion], source: Features, scale: float
) -> None:
    """So that a still picture is pruned at any threshold.

    Features of a criterion's own `reader` may mean that something has changed; equal ones need not be a still picture.
    """
    criterion = make()
    if not isinstance(criterion.reader(SourceFormat(patch_size=2)), LatentReader):
        return
    assert not bool(criterion(scale * source, (scale * source).clone()).any())


@law("criterion")
@given(source=SOURCES, other=SOURCES.map(lambda other: [other]))
def answers_by_what_it_is_given_alone(
    make: Callable[[], Criterion], source: Features, other: list[Tensor]
) -> None:
    """The same result again, whatever was called in between, and the arguments are not changed."""
    criterion, given_before = make(), source.clone()
    first = criterion(source, source.flip(0))
    criterion(other[0], other[0].flip(0))
    assert torch.equal(criterion(source, source.flip(0)), first)
    assert torch.equal(source, given_before)


@law("criterion")
@given(source=SOURCES)
def measures_each_frame_by_itself(make: Callable[[], Criterion], source: Features) -> None:
    """Otherwise masks would depend on how a video is cut into blocks."""
    criterion, reference = make(), source.flip(0)
    apart = [criterion(source[i : i + 1], reference[i : i + 1]) for i in range(source.shape[0])]
    assert_near(torch.cat(apart), criterion(source, reference), 1e-5, of=source)


@law("criterion")
@given(source=SOURCES)
def bears_half_precision(make: Callable[[], Criterion], source: Features) -> None:
    """Within a twentieth of the result in full precision, which is less than the uncertainty of thresholds."""
    criterion = make()
    for dtype in (torch.float16, torch.bfloat16):
        current, reference = source.to(dtype), source.flip(0).to(dtype)
        full = criterion(current.float(), reference.float())
        off = (criterion(current, reference).float() - full).abs()
        assert bool((off <= 0.05 * full + 0.02 * spread(source)).all())


@law("criterion")
@given(source=SOURCES)
def passes_the_checks_of_a_run(make: Callable[[], Criterion], source: Features) -> None:
    """The checks of a run find nothing; default thresholds are two finite numbers."""
    criterion, checks = behind_guard("criterion", make())
    criterion(source, source.flip(0))
    passes(checks)
    assert criterion.taus is None or len(criterion.taus) == 2
