"""How far attention can be from what it would be with the true keys and values of the pruned tokens.

One query of one head, with scores s_j = q.k_j / sqrt(d) and weights w = softmax(s), gives o = sum_j w_j v_j. Let some
of the keys and values replace true ones that lie at most delta_k and delta_v away. Then a score is off by t_j,
|t_j| <= eps_j = |q| delta_k_j / sqrt(d), the true weights are w_j e^t_j / Z with Z = sum_j w_j e^t_j, and since
sum_j w_j (v_j - o) = 0 the true output is off by

    (1/Z) sum_R [ w_j (e^t_j - 1) (v_j - o)  +  w_j e^t_j (v_true_j - v_j) ]

over the replaced rows R. `local` below bounds it, each term by its norm and Z from below. For large eps this bound
grows without limit, and another one is smaller: weights whose logarithms move by at most eps differ by
tanh(eps / 2) in total variation (reached by two halves that move apart), and values lie in a ball of radius r, so the
first term is at most 2 r tanh(eps / 2) and the second at most delta_v times the true mass of R.

The roles can be exchanged: the same holds with the true keys and values given, and the replacements at that distance.
"""

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.types import Context, Heads, Indices

SCORES_AT_ONCE = 1 << 22
"""Attention scores in memory at a time, in float64."""
MAX_EXPONENT = 700.0
"""e to this power is near the end of float64; a bound that large is never the smaller one of the two."""


@attrs.frozen(eq=False, kw_only=True)
class Certificate:
    """Bounds on the Euclidean error of attention outputs per query and head, `b n heads`, in float64."""

    bound: Tensor
    """The error is at most this; 0 where nothing differs, never smaller for larger differences."""
    linear: Tensor
    """The bound's first order in the differences, sum_R w_j (eps_j |v_j - o| + delta_v_j); no bound by itself."""
    expected: Tensor
    """Root mean square error, to first order, of differences that are independent and point anywhere: no bound.

    sqrt(sum_R w_j^2 (eps_j^2 |v_j - o|^2 / d + delta_v_j^2)): what remains of `linear` where errors average out.
    """
    lipschitz: Tensor
    """L = |q| r / sqrt(d): the bound is at most L max(delta_k) + max(delta_v), whatever the weights."""

    @property
    def per_token(self) -> Tensor:
        """Bound on each token's output, the concatenation of its heads, `b n`."""
        return self.bound.square().sum(dim=-1).sqrt()

    @property
    def worst(self) -> float:
        """Bound on the output of every token of the block."""
        return float(self.per_token.max()) if self.bound.numel() else 0.0


def certificate(
    q: Heads,
    k: Context,
    v: Context,
    replaced: Indices,
    delta_k: float | Tensor,
    delta_v: float | Tensor,
) -> Certificate:
    """Bound the error of a block's attention output from how far its donors are from the tokens that they replace.

    It is a *certificate* where the differences are true or known not to be exceeded, and an *estimate* where they are
    guessed, for instance from the source latents: the bound is then as good as the guess. It covers one layer, with
    the kept tokens' own queries, keys and values as they are, in exact arithmetic: a fused kernel adds its rounding.
    Every replaced token must have its row (as with `m-degree` of full degree and `naive-copy`): a token that is left
    out is not a small difference.

    Cost: attention in float64 without a fused kernel, in pieces. For measuring, not for the hot path.

    Args:
        q: rotated queries of the kept tokens.
        k: rotated keys as attended to, donors included.
        v: values, likewise.
        replaced: the rows of `k` and `v` that are donors'.
        delta_k: |k - k_true| of the rotated keys: a number for all, or a tensor that broadcasts to
            `b replaced heads`. Rotation to the same position changes no distance.
        delta_v: |v - v_true|, likewise.

    Raises:
        ValueError: sizes that do not fit together, rows that do not exist, or differences below 0 or NaN.
    """
    _check(q, k, v, replaced)
    shape = (q.shape[0], replaced.shape[0], q.shape[2])
    eps_per_q = _differences(delta_k, shape, q.device, "delta_k") * q.shape[-1] ** -0.5
    value_off = _differences(delta_v, shape, q.device, "delta_v")
    queries, keys, values = (x.double().transpose(1, 2) for x in (q, k, v))
    radius = (values - values.mean(dim=2, keepdim=True)).norm(dim=-1).amax(dim=-1)
    at_once = max(1, SCORES_AT_ONCE // (k.shape[0] * k.shape[2] * k.shape[1]))
    pieces = [
        _bounds(piece, keys, values, replaced, eps_per_q, value_off, radius)
        for piece in queries.split(at_once, dim=2)
    ]
    bound, linear, expected = (torch.cat(parts, dim=2).transpose(1, 2) for parts in zip(*pieces, strict=True))
    lipschitz = q.double().norm(dim=-1) * q.shape[-1] ** -0.5 * radius[:, None]
    return Certificate(bound=bound, linear=linear, expected=expected, lipschitz=lipschitz)


def _bounds(
    q: Float[Tensor, "b heads n head_dim"],
    k: Float[Tensor, "b heads m head_dim"],
    v: Float[Tensor, "b heads m head_dim"],
    replaced: Indices,
    eps_per_q: Float[Tensor, "b heads 1 places"],
    value_off: Float[Tensor, "b heads 1 places"],
    radius: Float[Tensor, "b heads"],
) -> tuple[Float[Tensor, "b heads n"], Float[Tensor, "b heads n"], Float[Tensor, "b heads n"]]:
    if not replaced.shape[0]:
        nothing = torch.zeros_like(q[..., 0])
        return nothing, nothing, nothing
    log_w = torch.log_softmax(q @ k.transpose(2, 3) * q.shape[-1] ** -0.5, dim=-1)
    eps = q.norm(dim=-1, keepdim=True) * eps_per_q
    log_r = log_w[..., replaced]
    log_kept = log_w.index_fill(-1, replaced, -torch.inf).logsumexp(dim=-1)
    # the plain matrix product of cdist would lose the distance of near values
    off_output = torch.cdist(log_w.exp() @ v, v[:, :, replaced], compute_mode="donot_use_mm_for_euclid_dist")

    grown = (log_r + eps).clamp(max=MAX_EXPONENT).exp()
    least_z = log_kept.exp() + (log_r - eps).exp().sum(dim=-1)
    local = (grown * (-torch.expm1(-eps) * off_output + value_off)).sum(dim=-1) / least_z

    largest = eps.amax(dim=-1)
    most_mass = torch.sigmoid(log_r.logsumexp(dim=-1) - log_kept + largest)
    saturated = 2 * radius[..., None] * torch.tanh(largest / 2) + most_mass * value_off.amax(dim=-1)

    weight = log_r.exp()
    linear = (weight * (eps * off_output + value_off)).sum(dim=-1)
    squares = (eps * off_output).square() / q.shape[-1] + value_off.square()
    expected = (weight.square() * squares).sum(dim=-1).sqrt()
    # where both of its parts have underflowed, local is 0 / 0 = NaN, and fmin gives the other bound
    return torch.fmin(local, saturated), linear, expected


def _check(q: Tensor, k: Tensor, v: Tensor, replaced: Tensor) -> None:
    if k.shape != v.shape or q.ndim != 4 or k.ndim != 4 or q.shape[2:] != k.shape[2:] or len(q) != len(k):
        raise ValueError(
            "queries are `b n heads head_dim`, keys and values `b m heads head_dim`; "
            f"got {list(q.shape)}, {list(k.shape)} and {list(v.shape)}"
        )
    rows = k.shape[1]
    if rows == 0 or (replaced.numel() and not 0 <= int(replaced.min()) <= int(replaced.max()) < rows):
        raise ValueError(f"replaced rows lie in 0..{rows - 1}, got {replaced.tolist()[:8]}")
    if replaced.unique().numel() != replaced.numel():
        raise ValueError("a replaced row is named twice; name each row once, with its largest difference")


def _differences(
    delta: float | Tensor, shape: tuple[int, int, int], device: torch.device, name: str
) -> Tensor:
    given = torch.as_tensor(delta, dtype=torch.float64, device=device)
    if not bool((given >= 0).all()):
        raise ValueError(
            f"{name} holds distances, so at least 0 and not NaN; take the norm of the difference"
        )
    try:
        return given.broadcast_to(shape).transpose(1, 2)[:, :, None]
    except RuntimeError as error:
        raise ValueError(
            f"{name} must be a number or broadcast to `b replaced heads` = {list(shape)}, got {list(given.shape)}"
        ) from error
