"""The certificate's summary; that its bounds hold is a law: tests/laws/test_certificate.py."""

import torch

from lipar.attention.error_bound import Certificate, certificate


def certificate_of(bound):
    return Certificate(bound=bound, linear=bound, expected=bound, lipschitz=bound)


def test_a_token_is_bounded_by_its_heads_side_by_side_and_a_block_by_its_worst_token():
    bound = torch.tensor([[[3.0, 4.0], [0.0, 1.0]]], dtype=torch.float64)
    assert certificate_of(bound).per_token.tolist() == [[5.0, 1.0]]
    assert certificate_of(bound).worst == 5.0
    assert certificate_of(bound[:, :0]).worst == 0.0


def test_without_a_replaced_row_nothing_can_be_off():
    q, kv = torch.randn(1, 3, 2, 6), torch.randn(1, 5, 2, 6)
    made = certificate(q, kv, kv, torch.tensor([], dtype=torch.long), 1.0, 1.0)
    assert made.worst == 0.0 and made.bound.shape == (1, 3, 2)
