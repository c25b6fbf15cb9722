"""The certificate of every layer's attention and its true error, on the blocks of a run."""

import copy
import typing

import attrs
import torch
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.error_bound import certificate
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout, patchify, token_features, unpatchify
from lipar.protocols import AttentionKernel, ForwardPass
from lipar.types import Heads, Indices
from lipar_lab.certify.estimate import DifferenceEstimate

ROUNDING_STEPS = 100
"""Rounding error allowed in a kernel's output, in units of its number type's eps times the largest value (float32:
1e-5)."""


@attrs.frozen(kw_only=True)
class Certified:
    """One layer in one denoise step of one block: figures over all kept queries and heads, of Euclidean norms."""

    first_frame: int
    step: int
    layer_idx: int
    kept_fraction: float
    delta_k: float
    """Largest difference of a donor's rotated key from that of the dense model."""
    delta_v: float
    """Largest difference of a donor's value from that of the dense model."""
    error: float
    """Largest true error."""
    bound: float
    """Largest bound."""
    expected: float
    """Largest `Certificate.expected`."""
    looseness: float
    """Median over queries and heads of bound divided by true error."""
    holds: bool
    """Whether no error exceeds its bound by more than rounding."""
    estimate: float | None
    """Largest bound with differences that are estimated from the source latents; None in the block of the fit."""
    estimate_covers: float | None
    """Fraction of queries and heads whose true error does not exceed that estimate."""


@attrs.define(eq=False)
class AttentionCertifier:
    """A plugin that certifies a run: before each pruned denoise pass, the same pass runs dense on copies of the state.

    In every layer of the dense pass, the recovery is applied to the dense queries, keys and values. So the error is
    that of this layer's attention with exact inputs; errors of earlier layers are not included. The run itself gives
    the same bits as without the plugin. Blocks whose recovery leaves places absent are skipped. Each pass costs one
    dense pass and two copies of the KV cache more.

    Since the dense pass gives the true differences, `bound` is a certificate. The `estimate` is the bound with
    differences that could be had without a dense pass (`DifferenceEstimate`).
    """

    records: list[Certified] = attrs.field(factory=list)
    """One for each layer of each pruned denoise pass so far."""
    estimate: DifferenceEstimate = attrs.field(factory=DifferenceEstimate, init=False)

    # no type check: pluggy requires a generator function, whatever its annotation says
    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_prune(self, job, source):
        """The layout, unchanged; the source of the block is passed to the estimate."""
        features = token_features(source, job.patch_size).double()
        self.estimate.start_block(features, has_history=job.history is not None)
        return (yield)

    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, job, latents, forward_pass, layout):
        """The flow, at kept tokens unchanged; every layer of a pruned denoise pass is certified."""
        pruned = layout.kept_count < layout.token_count
        if not pruned or forward_pass.clean or job.probing or not self.estimate.ready:
            return (yield)
        dense = job.model.forward(latents, forward_pass, _CertifiedAttention(self, job, layout, forward_pass))
        flow = yield
        # The run does not read the flow at pruned places. The dense flow there takes the latents of pruned places to
        # the next noise level, where the next dense pass needs them.
        patch = job.patch_size
        kept = layout.prune(patchify(flow, patch))
        return unpatchify(patchify(dense, patch).index_copy(1, layout.kept, kept), layout.grid, patch)


class _CertifiedAttention:
    """Self-attention of a dense pass that also computes and certifies the pruned one (implements `BlockAttention`)."""

    def __init__(
        self, certifier: AttentionCertifier, job: typing.Any, layout: TokenLayout, forward_pass: ForwardPass
    ) -> None:
        self._certifier, self._pruned_layout, self._pass = certifier, layout, forward_pass
        self.layout = TokenLayout.keep_all(
            layout.grid,
            first_frame=layout.first_frame,
            has_history=layout.has_history,
            device=layout.keep_mask.device,
        )
        self._pruned: BlockContext = copy.deepcopy(job.context)
        self._dense = BlockContext(copy.deepcopy(job.cache), self.layout, job.parts.recovery, None)
        for context in (self._pruned, self._dense):
            context.begin_pass(forward_pass)
        self._distance: Tensor = certifier.estimate.source_distance(
            job.parts.noise.donor_times(layout, layout.pruned), layout
        )

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel) -> Heads:
        """The dense attention."""
        dense, pruned = _RecordingKernel(kernel), _RecordingKernel(kernel)
        output = self._dense.attend(layer_idx, q, k, v, dense)
        prune = self._pruned_layout.prune
        recovered = self._pruned.attend(layer_idx, prune(q), prune(k), prune(v), pruned)
        if dense.k.shape == pruned.k.shape:
            error = (prune(output).double() - recovered.double()).norm(dim=-1)
            self._certify(layer_idx, pruned, dense, error)
        return output

    def _certify(
        self, layer_idx: int, pruned: "_RecordingKernel", dense: "_RecordingKernel", error: Tensor
    ) -> None:
        layout = self._pruned_layout
        # the context ends with the block; before it are the rows of the cache
        replaced = layout.pruned + (pruned.k.shape[1] - layout.token_count)
        delta_k, delta_v = (
            (true[:, replaced].double() - ours[:, replaced].double()).norm(dim=-1)
            for true, ours in ((dense.k, pruned.k), (dense.v, pruned.v))
        )
        certified = certificate(pruned.q, pruned.k, pruned.v, replaced, delta_k, delta_v)
        rounding = ROUNDING_STEPS * torch.finfo(pruned.v.dtype).eps * float(pruned.v.norm(dim=-1).max())
        estimated = self._estimated(layer_idx, pruned, replaced, delta_k, delta_v)
        covers = None if estimated is None else float((error <= estimated + rounding).double().mean())
        self._certifier.records.append(
            Certified(
                first_frame=layout.first_frame,
                step=self._pass.step,
                layer_idx=layer_idx,
                kept_fraction=layout.kept_fraction,
                delta_k=float(delta_k.max()),
                delta_v=float(delta_v.max()),
                error=float(error.max()),
                bound=float(certified.bound.max()),
                expected=float(certified.expected.max()),
                looseness=float((certified.bound / error).nanmedian()),
                holds=bool((error <= certified.bound + rounding).all()),
                estimate=None if estimated is None else float(estimated.max()),
                estimate_covers=covers,
            )
        )

    def _estimated(
        self,
        layer_idx: int,
        pruned: "_RecordingKernel",
        replaced: Indices,
        delta_k: Tensor,
        delta_v: Tensor,
    ) -> Tensor | None:
        """The bound with estimated differences, `b n heads`; None in the block on which the lines are fitted."""
        guessed = [
            self._certifier.estimate.guess((layer_idx, self._pass.step, name), self._distance, delta)
            for name, delta in (("k", delta_k), ("v", delta_v))
        ]
        if guessed[0] is None or guessed[1] is None:
            return None
        return certificate(pruned.q, pruned.k, pruned.v, replaced, guessed[0], guessed[1]).bound


class _RecordingKernel:
    """A kernel that stores its inputs."""

    q: Tensor
    k: Tensor
    v: Tensor

    def __init__(self, kernel: AttentionKernel) -> None:
        self._kernel = kernel

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # no copies: they are read before the next layer, which may overwrite the cache they are views of
        self.q, self.k, self.v = q, k, v
        return self._kernel(q, k, v)


_TITLES = (
    *("step", "layer", "kept", "delta_k", "delta_v", "true error", "expected", "bound", "looseness", "holds"),
    *("estimate", "covers"),
)


def table(records: list[Certified]) -> list[str]:
    """The lines of a Markdown table with a row for each denoise step and layer.

    Norms are the largest over all blocks, `kept` is the mean, `looseness` the median, `covers` the smallest fraction.
    """
    lines = [f"| {' | '.join(_TITLES)} |", "| --- " * len(_TITLES) + "|"]
    for step, layer_idx in sorted({(record.step, record.layer_idx) for record in records}):
        rows = [record for record in records if (record.step, record.layer_idx) == (step, layer_idx)]
        lines.append(f"| {' | '.join((str(step), str(layer_idx), *_row(rows)))} |")
    return lines


def _row(rows: list[Certified]) -> list[str]:
    worst = [
        f"{max(getattr(row, name) for row in rows):.3g}"
        for name in ("delta_k", "delta_v", "error", "expected", "bound")
    ]
    kept = sum(row.kept_fraction for row in rows) / len(rows)
    looseness = sorted(row.looseness for row in rows)[len(rows) // 2]
    holds = "yes" if all(row.holds for row in rows) else "NO"
    estimates = [row.estimate for row in rows if row.estimate is not None]
    covers = [row.estimate_covers for row in rows if row.estimate_covers is not None]
    estimated = [f"{max(estimates):.3g}", f"{100 * min(covers):.1f} %"] if estimates else ["-", "-"]
    return [f"{100 * kept:.0f} %", *worst, f"{looseness:.1f}", holds, *estimated]
