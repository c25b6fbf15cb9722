"""Whose keys and values stand in for pruned tokens during the denoise steps."""

import attrs
import torch
from torch import Tensor

from lipar.attention import sequence_donors
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.protocols import Donation
from lipar.registry import Registry
from lipar.types import Heads, Indices


@attrs.define
class CleanHistory:
    """The clean keys and values of the last frame before the block, from the KV cache (the paper's).

    Copying a noisy key breaks the independence of the noise: the score term eps W eps gets mean tr(W) instead of 0
    (Eq. 9 of arXiv 2603.05811); a clean one does not, but it lies off the noise level that the step expects.
    """

    needs = frozenset({"causal-cache"})
    per_step = False

    def ready(self, layout: TokenLayout) -> bool:
        return layout.has_history

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        assert donation.history_k is not None and donation.history_v is not None
        position = donation.layout.position(donation.places)
        return donation.history_k.index_select(1, position), donation.history_v.index_select(1, position)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        return torch.full_like(places, -1)

    def observe(self, donation: Donation) -> None:
        """Needs nothing of the denoise passes."""

    def reset(self) -> None:
        """Holds nothing."""


@attrs.define
class NoisyChain:
    """The keys and values of each token's restoration source in the same pass, noisy where it stands in the block.

    The released code without noise-aware duplication; the ablation that shows why clean donors are needed.
    """

    per_step = True

    def ready(self, layout: TokenLayout) -> bool:
        return True

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        return sequence_donors(donation)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        first = layout.first_frame * layout.tokens_per_frame
        return (layout.restore_source[places] - first) // layout.tokens_per_frame

    def observe(self, donation: Donation) -> None:
        """Donors come from the pass itself."""

    def reset(self) -> None:
        """Holds nothing."""


@attrs.define
class StepMatched:
    """The previous block's last frame at the *same denoise step*: the same noise level with other noise.

    A position that was itself pruned passes on what it was filled with. Costs one frame of keys and values per
    layer and step (287 MB a step for Wan 1.3B at 480p in bf16). Beyond the paper; measured in docs/results.md.
    """

    needs = frozenset({"causal-cache"})
    per_step = True

    _k: dict[tuple[int, int], Tensor] = attrs.field(factory=dict, init=False)
    _v: dict[tuple[int, int], Tensor] = attrs.field(factory=dict, init=False)

    def ready(self, layout: TokenLayout) -> bool:
        return bool(self._k)

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        key = (donation.layer_idx, donation.forward_pass.step)
        position = donation.layout.position(donation.places)
        return self._k[key].index_select(1, position), self._v[key].index_select(1, position)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        return torch.full_like(places, -1)

    def observe(self, donation: Donation) -> None:
        key, layout = (donation.layer_idx, donation.forward_pass.step), donation.layout
        last_frame = layout.token_count - layout.tokens_per_frame
        if key not in self._k:
            # a scene that does not begin with a whole block: its pruned places give what they are restored from
            places = torch.arange(last_frame, layout.token_count, device=donation.k.device)
            self._k[key] = layout.fill(donation.history_k, donation.k, places)
            self._v[key] = layout.fill(donation.history_v, donation.v, places)
            return
        in_last = layout.kept_count - layout.kept_per_frame[-1]
        position = layout.position(layout.kept[in_last:])
        self._k[key].index_copy_(1, position, donation.k[:, in_last:])
        self._v[key].index_copy_(1, position, donation.v[:, in_last:])

    def reset(self) -> None:
        self._k.clear()
        self._v.clear()


@hookimpl
def lipar_register_noise_sources(registry: Registry) -> None:
    registry.add("kv-cache", CleanHistory)
    registry.add("step-matched", StepMatched)
    registry.add("noisy-chain", NoisyChain)
