"""Which tokens of a block are computed, and which token each of the others is restored from.

A block has `t` latent frames of `rows x cols` tokens, counted in t, h, w order. A *place* is the
index of a token in that order, from 0 to `t * rows * cols - 1`.
"""

from functools import cached_property

import attrs
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from lipar.origins import TokenOrigins, run_indices, run_lengths
from lipar.types import Features, Indices, KeepMask, Latents, Tokens, shaped


@attrs.frozen(eq=False)
class TokenLayout:
    """The kept tokens of one block and the restoration source of every pruned one.

    Callers use its methods (`prune`, `scatter`, `fill`, `run_length`, `position_at`) and do not index the mask
    themselves, since a pruned token may come from another place than its own (`origins`).

    Args:
        keep_mask: True = computed. On the device of the latents.
        first_frame: index of the block's first frame in the video.

    Raises:
        TypeError: `keep_mask` is not a boolean `t rows cols` tensor.
        ValueError: it has no token; a block without history prunes in its first frame, which has nothing to be
            restored from; or `origins` are of another grid, or of another device, or unknown at a pruned token.
    """

    keep_mask: Tensor = attrs.field(validator=shaped(KeepMask))
    first_frame: int = attrs.field(default=0, kw_only=True)
    has_history: bool = attrs.field(default=True, kw_only=True)
    """Whether a frame before the block exists to restore from (not so at the start of a scene)."""
    origins: TokenOrigins | None = attrs.field(default=None, kw_only=True)
    """Where pruned tokens come from; None: each from its own position, one frame before."""

    def __attrs_post_init__(self) -> None:
        if self.keep_mask.numel() == 0:
            raise ValueError(f"a keep mask needs at least one token, got shape {list(self.keep_mask.shape)}")
        if not self.has_history and not bool(self.keep_mask[0].all()):
            raise ValueError(
                "the first frame of a scene has nothing to be restored from, so all its tokens must be kept; "
                f"{int((~self.keep_mask[0]).sum())} of {self.tokens_per_frame} are pruned"
            )
        if self.origins is not None:
            self._check_origins(self.origins)

    def _check_origins(self, origins: TokenOrigins) -> None:
        place = origins.place
        if place.shape != self.keep_mask.shape or place.device != self.keep_mask.device:
            raise ValueError(
                f"origins are of the keep mask's grid {self.grid} on {self.keep_mask.device}; got "
                f"{tuple(place.shape)} on {place.device}"
            )
        known = origins.known if self.has_history else place >= 0
        if lost := int((~known & ~self.keep_mask).sum()):
            earlier = "an origin" if self.has_history else "an origin in the block, which begins a scene"
            raise ValueError(f"a pruned token needs {earlier}; keep the {lost} that have none as well")

    @classmethod
    def keep_all(
        cls,
        grid: tuple[int, int, int],
        *,
        first_frame: int = 0,
        has_history: bool = True,
        device: torch.device | str | None = None,
    ) -> "TokenLayout":
        """The layout of the dense model: every token kept."""
        mask = torch.ones(grid, dtype=torch.bool, device=device)
        return cls(mask, first_frame=first_frame, has_history=has_history)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Frames, rows and columns of the block's token grid."""
        frames, rows, cols = self.keep_mask.shape
        return frames, rows, cols

    @property
    def frames(self) -> int:
        """Number of latent frames of the block."""
        return self.grid[0]

    @property
    def tokens_per_frame(self) -> int:
        """Number of tokens of a frame, kept and pruned."""
        return self.grid[1] * self.grid[2]

    @property
    def token_count(self) -> int:
        """Number of tokens of the block, kept and pruned."""
        return self.keep_mask.numel()

    @cached_property
    def kept_per_frame(self) -> tuple[int, ...]:
        """Number of kept tokens in each frame. The only value of a layout for which the host waits for the device."""
        return tuple(self.keep_mask.flatten(1).sum(1).tolist())

    @property
    def kept_count(self) -> int:
        """Number of kept tokens."""
        return sum(self.kept_per_frame)

    @cached_property
    def _kept_then_pruned(self) -> Indices:
        return torch.argsort(self.keep_mask.flatten().to(torch.uint8), descending=True, stable=True)

    @property
    def kept(self) -> Indices:
        """Places of the kept tokens, ascending."""
        return self._kept_then_pruned[: self.kept_count]

    @property
    def pruned(self) -> Indices:
        """Places of the pruned tokens, ascending."""
        return self._kept_then_pruned[self.kept_count :]

    @property
    def kept_fraction(self) -> float:
        """Fraction of the block's tokens that are kept, 0..1."""
        return self.kept_count / self.token_count

    def with_mask(self, keep_mask: KeepMask) -> "TokenLayout":
        """The same block with other kept tokens; those whose origin is unknown are kept in any case."""
        if self.origins is not None:
            keep_mask = keep_mask | ~self.origins.known
        return attrs.evolve(self, keep_mask=keep_mask)

    def to(self, device: torch.device | str) -> "TokenLayout":
        """The same layout on a device."""
        origins = None if self.origins is None else self.origins.to(device)
        return attrs.evolve(self, keep_mask=self.keep_mask.to(device), origins=origins)

    @cached_property
    def _source_row(self) -> Int[Tensor, " places"]:
        # row of every place's source in cat([last frame of history, kept tokens])
        if self.origins is not None:
            return self.origins.source_rows(self.keep_mask)
        frames, tokens_per_frame = self.frames, self.tokens_per_frame
        keep = self.keep_mask.reshape(frames, tokens_per_frame)
        device = keep.device
        time = torch.arange(frames, device=device)[:, None]
        last_kept = torch.where(keep, time, -1).cummax(dim=0).values
        position = torch.arange(tokens_per_frame, device=device).expand(frames, -1)
        kept_rank = self.keep_mask.flatten().cumsum(0) - 1
        source_place = last_kept.clamp(min=0) * tokens_per_frame + position
        in_block = tokens_per_frame + kept_rank[source_place]
        return torch.where(last_kept >= 0, in_block, position).flatten()

    @cached_property
    def restore_source(self) -> Int[Tensor, " places"]:
        """The source of each place, as `frame * tokens_per_frame + position` counted in the video.

        A kept token is its own source; a pruned one has the last kept token before it at its position,
        or that position in the frame before the block (Alg. 2 of arXiv 2603.05811). With `origins`, they are followed
        to a kept token or to the frame before the block.
        """
        tokens_per_frame = self.tokens_per_frame
        start = self.first_frame * tokens_per_frame
        history = torch.arange(tokens_per_frame, device=self.keep_mask.device) + start - tokens_per_frame
        return torch.cat([history, self.kept + start])[self._source_row]

    @cached_property
    def run_length(self) -> Int[Tensor, "t rows cols"]:
        """How many places of the block each place's run has (c_j of Eq. 5 of arXiv 2603.05811).

        A run is a kept token and the pruned ones after it, at one position; or the pruned ones before the first kept
        token of a position, whose run began before the block. With `origins`, all places of one source.
        """
        if self.origins is not None:
            rows = self.tokens_per_frame + self.kept_count
            return run_lengths(self._source_row, rows).view(self.grid)
        run = self.keep_mask.long().cumsum(0)
        count = run.new_zeros(self.frames + 1, *self.grid[1:]).scatter_add_(0, run, torch.ones_like(run))
        return count.gather(0, run)

    @cached_property
    def run_index(self) -> Int[Tensor, "t rows cols"]:
        """How many places of its run are before each place."""
        return run_indices(self._source_row).view(self.grid)

    @cached_property
    def last_frame_weights(self) -> Float[Tensor, " n"]:
        """Weights of the kept tokens that give the mean over those in the block's last frame; zeros if it has none."""
        inside = (self.kept >= self.token_count - self.tokens_per_frame).float()
        return inside / inside.sum().clamp(min=1)

    @cached_property
    def before_last_frame(self) -> Int[Tensor, ""]:
        """How many of the kept tokens are before the block's last frame, on the device."""
        return (self.last_frame_weights == 0).sum()

    def sources(self, places: Indices) -> Indices:
        """Row of each place's restoration source in [frame before the block | kept tokens]."""
        return self._source_row[places]

    def tensors(self) -> tuple[Tensor, ...]:
        """What a forward pass reads. With as many kept tokens, the tensors of another layout have the same sizes.

        Of a layout without `origins`: passes of one that has them are not recorded.
        """
        order = (self._kept_then_pruned, self._source_row)
        return self.keep_mask, *order, self.last_frame_weights, self.before_last_frame

    def with_own_tensors(self) -> "TokenLayout":
        """The same layout with copies of `tensors`, which may be overwritten by those of another one."""
        copied = attrs.evolve(self, keep_mask=self.keep_mask.clone())
        for name in ("_kept_then_pruned", "_source_row", "last_frame_weights", "before_last_frame"):
            object.__setattr__(copied, name, getattr(self, name).clone())
        object.__setattr__(copied, "kept_per_frame", self.kept_per_frame)
        return copied

    def source_row(self, places: Indices) -> Indices:
        """Row among the kept tokens of each place's restoration source; negative where that is before the block."""
        return self._source_row[places] - self.tokens_per_frame

    def prune(self, tokens: Float[Tensor, "b places *rest"]) -> Float[Tensor, "b n *rest"]:
        """Select the kept tokens of a full block."""
        return tokens.index_select(1, self.kept)

    def scatter(self, kept_tokens: Tokens) -> Float[Tensor, "b places d"]:
        """Put kept tokens back at their places; pruned places are zeros until they are restored."""
        full = kept_tokens.new_zeros(kept_tokens.shape[0], self.token_count, kept_tokens.shape[2])
        return full.index_copy_(1, self.kept, kept_tokens)

    def fill(
        self,
        history: Float[Tensor, "b position *rest"] | None,
        kept_tokens: Float[Tensor, "b n *rest"],
        places: Indices | None = None,
    ) -> Float[Tensor, "b places *rest"]:
        """Give every place its source's value (Alg. 2 of arXiv 2603.05811).

        Args:
            history: the frame before the block, restored; None where the scene starts with this block.
            kept_tokens: the computed tokens, in the order of `kept`.
            places: only these; None: the whole block.
        """
        rows = self._source_row if places is None else self._source_row[places]
        if history is None:
            return kept_tokens.index_select(1, rows - self.tokens_per_frame)
        return torch.cat([history, kept_tokens], dim=1).index_select(1, rows)

    def position(self, places: Indices) -> Indices:
        """Position of each place in its frame, 0 .. tokens_per_frame - 1."""
        return places % self.tokens_per_frame

    def position_at(self, places: Indices, times: Indices | int) -> Indices:
        """Position that what is at each place had at an earlier time: its own, unless there are `origins`.

        The motion of all frames in between is added up. It is known from the frame before the block on; for times
        before that, and for what was not in the picture yet, the earliest known position is given.

        Args:
            places: which places.
            times: frame of each, or of all, counted from the block's first; -1 is the frame before the block.
        """
        if self.origins is None:
            return places % self.tokens_per_frame
        return self.origins.position_at(places, times)

    def position_before(self, places: Indices) -> Indices:
        """Position of each place in the frame before the block, see `position_at`."""
        return places % self.tokens_per_frame if self.origins is None else self._positions_before[places]

    @cached_property
    def _positions_before(self) -> Int[Tensor, " places"]:
        return self.position_at(torch.arange(self.token_count, device=self.keep_mask.device), -1)


def patchify(latents: Latents, patch: int) -> Float[Tensor, "b places features"]:
    """Cut latents into tokens, in t, h, w order; features in the order c, p, q of the patch embedding."""
    return rearrange(latents, "b t c (h p) (w q) -> b (t h w) (c p q)", p=patch, q=patch)


def unpatchify(tokens: Float[Tensor, "b places features"], grid: tuple[int, int, int], patch: int) -> Latents:
    """Undo `patchify`."""
    frames, rows, cols = grid
    return rearrange(
        tokens, "b (t h w) (c p q) -> b t c (h p) (w q)", t=frames, h=rows, w=cols, p=patch, q=patch
    )


def token_features(latents: Latents, patch: int) -> Features:
    """The latent values of each token of one video, on the token grid.

    Raises:
        ValueError: more than one video, or a size that the patch does not divide.
    """
    videos, _, _, height, width = latents.shape
    if videos != 1:
        raise ValueError(f"one video at a time: masks are per video, but the source has b={videos}")
    if height % patch or width % patch:
        raise ValueError(f"latents of {height}x{width} do not divide into tokens of {patch}x{patch}")
    return rearrange(latents[0], "t c (h p) (w q) -> t h w (c p q)", p=patch, q=patch)
