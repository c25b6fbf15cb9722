"""A source on disk."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.masks.source import SourcePiece
from lipar_lab.plan.spool import SourceSpool


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    pixels=st.booleans(),
)
def test_what_passed_is_read_again_exactly_as_often_as_asked(lengths, dtype, pixels) -> None:
    pieces = [
        SourcePiece(latents=torch.randn(1, n, 4, 2, 6).to(dtype), pixels=torch.rand(1, 4 * n, 3, 8, 24))
        for n in lengths
    ]
    with SourceSpool(pixels=pixels) as spool:
        assert all(given is piece for given, piece in zip(spool.record(pieces), pieces, strict=True))
        for _ in range(2):
            for read, piece in zip(spool.read(), pieces, strict=True):
                assert read.latents.dtype == dtype and torch.equal(read.latents, piece.latents)
                assert (read.pixels is not None) == pixels
                assert not pixels or torch.equal(read.pixels, piece.pixels)


def test_the_file_is_gone_when_it_is_closed() -> None:
    with SourceSpool(pixels=False) as spool:
        list(spool.record([SourcePiece(latents=torch.zeros(1, 3, 4, 2, 2))]))
    with pytest.raises(ValueError, match="closed"):
        list(spool.read())
