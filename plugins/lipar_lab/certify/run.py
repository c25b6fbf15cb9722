"""The certificate of every layer's attention beside its true error, on the blocks of a run."""

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
from lipar.types import Features, Heads

ROUNDING_STEPS = 100
"""Rounding that a kernel may add, in steps of its number type at the size of the largest value (float32: 1e-5)."""


@attrs.frozen(kw_only=True)
class Certified:
    """One layer in one denoise step of one block: Euclidean norms per kept query and head, summed up."""

    first_frame: int
    step: int
    layer_idx: int
    kept_fraction: float
    delta_k: float
    """Largest difference of a donor's key from the dense model's, rotated; likewise `delta_v`."""
    delta_v: float
    error: float
    """Largest true error."""
    bound: float
    """Largest bound."""
    expected: float
    """Largest `Certificate.expected`."""
    looseness: float
    """Bound over true error, the median over queries and heads."""
    holds: bool
    """Whether no error is above its bound by more than rounding."""
    estimate: float | None
    """Largest bound with differences read from the source latents; None in the block that they are calibrated on."""
    estimate_covers: float | None
    """Fraction of queries and heads whose true error is not above that estimate."""


@attrs.define(eq=False)
class AttentionCertifier:
    """A plugin that certifies a run: before each pruned denoise pass it runs the same pass dense, on copies.

    In every layer of that dense pass the recovery is applied to the dense queries, keys and values, so the error is
    the one that this layer's attention adds, with its inputs as they should be; errors that earlier layers hand down
    are not in it. The run itself gives the same bits as without. Blocks whose recovery leaves places absent are passed
    over. For measuring: every pass costs a dense one more and two copies of the KV cache.

    Differences are known here, since the dense pass is run, so `bound` is a certificate. Beside it stands an estimate
    as it could be had without: per layer, step and head a line over the distance of the source latents of place and
    donor, least squares on the first block that is certified among the lines that neither fall nor begin below 0,
    lifted until it lies above all of that block.
    """

    records: list[Certified] = attrs.field(factory=list)
    _lines: dict[tuple[int, int, str], tuple[Tensor, Tensor]] = attrs.field(factory=dict, init=False)
    _before: Features | None = attrs.field(default=None, init=False)
    _source: Features | None = attrs.field(default=None, init=False)

    # pluggy takes a generator function for a wrapper, whatever the annotation says
    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_prune(self, job, source):
        features = token_features(source, job.patch_size).double()
        self._before = None if job.history is None or self._source is None else self._source[-1:]
        self._source = features
        return (yield)

    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, job, latents, forward_pass, layout):
        pruned = layout.kept_count < layout.token_count
        if not pruned or forward_pass.clean or job.probing or self._before is None:
            return (yield)
        dense = job.model.forward(latents, forward_pass, _Witness(self, job, layout, forward_pass))
        flow = yield
        # nobody else reads a pruned place: what stands there takes the next dense pass to the next noise level
        patch = job.patch_size
        kept = layout.prune(patchify(flow, patch))
        return unpatchify(patchify(dense, patch).index_copy(1, layout.kept, kept), layout.grid, patch)

    def source_distance(self, times: Tensor, layout: TokenLayout) -> Tensor:
        """How far each pruned place's source latents are from its donor's, `places`.

        Args:
            times: when the donors stood, as `NoiseSource.donor_times` says.
        """
        assert self._before is not None and self._source is not None
        tokens = torch.cat([self._before, self._source]).flatten(0, 2)
        donor = (times + 1) * layout.tokens_per_frame + layout.position(layout.pruned)
        off = tokens[layout.pruned + layout.tokens_per_frame] - tokens[donor]
        distance: Tensor = off.norm(dim=-1)
        return distance

    def guess(self, key: tuple[int, int, str], distance: Tensor, delta: Tensor) -> Tensor | None:
        """Differences, `b places heads`, at least 0, from the distance of the source.

        None where the line was only now drawn.
        """
        if key in self._lines:
            slope, offset = self._lines[key]
            return offset + slope * distance[:, None]
        spread = distance - distance.mean()
        free, through_zero = (
            torch.einsum("p, b p h -> b h", x, delta) / x.square().sum().clamp(min=1e-12)
            for x in (spread, distance)
        )
        # the steeper one of the two would be below 0 at a smaller distance than any of this block
        slope = torch.minimum(free, through_zero).clamp(min=0)[:, None]
        offset = (delta - slope * distance[:, None]).amax(dim=1, keepdim=True)
        self._lines[key] = slope, offset.clamp(min=0)
        return None


class _Witness:
    """Self-attention of a dense pass that looks what the pruned one would have given (`BlockAttention`)."""

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
        self._distance: Tensor = certifier.source_distance(
            job.parts.noise.donor_times(layout, layout.pruned), layout
        )

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel) -> Heads:
        dense, pruned = _Seen(kernel), _Seen(kernel)
        output = self._dense.attend(layer_idx, q, k, v, dense)
        prune = self._pruned_layout.prune
        recovered = self._pruned.attend(layer_idx, prune(q), prune(k), prune(v), pruned)
        if dense.k.shape == pruned.k.shape:
            error = (prune(output).double() - recovered.double()).norm(dim=-1)
            self._certify(layer_idx, pruned, dense, error)
        return output

    def _certify(self, layer_idx: int, pruned: "_Seen", dense: "_Seen", error: Tensor) -> None:
        layout, certifier, step = self._pruned_layout, self._certifier, self._pass.step
        replaced = layout.pruned + (pruned.k.shape[1] - layout.token_count)
        delta_k, delta_v = (
            (true[:, replaced].double() - ours[:, replaced].double()).norm(dim=-1)
            for true, ours in ((dense.k, pruned.k), (dense.v, pruned.v))
        )
        certified = certificate(pruned.q, pruned.k, pruned.v, replaced, delta_k, delta_v)
        rounding = ROUNDING_STEPS * torch.finfo(pruned.v.dtype).eps * float(pruned.v.norm(dim=-1).max())
        guessed = [
            certifier.guess((layer_idx, step, name), self._distance, delta)
            for name, delta in (("k", delta_k), ("v", delta_v))
        ]
        estimate = covers = None
        if guessed[0] is not None and guessed[1] is not None:
            estimated = certificate(pruned.q, pruned.k, pruned.v, replaced, guessed[0], guessed[1]).bound
            estimate = float(estimated.max())
            covers = float((error <= estimated + rounding).double().mean())
        certifier.records.append(
            Certified(
                first_frame=layout.first_frame,
                step=step,
                layer_idx=layer_idx,
                kept_fraction=layout.kept_fraction,
                delta_k=float(delta_k.max()),
                delta_v=float(delta_v.max()),
                error=float(error.max()),
                bound=float(certified.bound.max()),
                expected=float(certified.expected.max()),
                looseness=float((certified.bound / error).nanmedian()),
                holds=bool((error <= certified.bound + rounding).all()),
                estimate=estimate,
                estimate_covers=covers,
            )
        )


class _Seen:
    """A kernel that keeps what it was given."""

    q: Tensor
    k: Tensor
    v: Tensor

    def __init__(self, kernel: AttentionKernel) -> None:
        self._kernel = kernel

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # rows of the context are views of the cache, which the next layer may overwrite
        self.q, self.k, self.v = q, k, v
        return self._kernel(q, k, v)


def table(records: list[Certified]) -> list[str]:
    """The lines of a Markdown table, one row per denoise step and layer."""
    titles = [
        "step",
        "layer",
        "kept",
        "delta_k",
        "delta_v",
        "true error",
        "expected",
        "bound",
        "looseness",
        "holds",
    ]
    titles += ["estimate", "covers"]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for step, layer_idx in sorted({(record.step, record.layer_idx) for record in records}):
        rows = [record for record in records if (record.step, record.layer_idx) == (step, layer_idx)]
        worst = [
            f"{max(getattr(row, name) for row in rows):.3g}"
            for name in ("delta_k", "delta_v", "error", "expected", "bound")
        ]
        kept = sum(row.kept_fraction for row in rows) / len(rows)
        looseness = sorted(row.looseness for row in rows)[len(rows) // 2]
        holds = "yes" if all(row.holds for row in rows) else "NO"
        estimates = [row.estimate for row in rows if row.estimate is not None]
        covers = [row.estimate_covers for row in rows if row.estimate_covers is not None]
        guessed = [f"{max(estimates):.3g}", f"{100 * min(covers):.1f} %"] if estimates else ["-", "-"]
        cells = [step, layer_idx, f"{100 * kept:.0f} %", *worst, f"{looseness:.1f}", holds, *guessed]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines
