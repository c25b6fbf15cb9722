"""What is known of a block before the transformer runs, in numbers alone, so that a long clip needs little memory."""

import attrs


@attrs.frozen(kw_only=True)
class BlockPlan:
    """One block of a clip."""

    index: int
    kept: int
    """Kept tokens, those of copies that fill up the last block included."""
    tokens: int
    shown_kept: int
    """Kept tokens of the latent frames that are shown."""
    shown_tokens: int
    """Tokens of these frames."""
    pixel_frames: tuple[int, int]
    """First pixel frame of the source in it, and the one after the last."""
    context_frames: int
    """Latent frames that the clean pass attends to, its own included."""
    context_rows: int
    """Rows of the KV cache that these have."""
    has_history: bool
    """False for the first block of a scene."""
    steady: bool
    """Whether its context is as long as it gets."""
    cut: bool
    """Whether a scene cut was found in it."""
    mask: float
    """Seconds of its mask, measured here."""

    @property
    def kept_fraction(self) -> float:
        """Kept fraction of the whole block, as its time depends on it."""
        return self.kept / self.tokens


def kept_fraction(blocks: list[BlockPlan]) -> float | None:
    """Kept fraction of what is shown of some blocks, as `lipar edit` reports it; None without blocks."""
    tokens = sum(block.shown_tokens for block in blocks)
    return sum(block.shown_kept for block in blocks) / tokens if tokens else None
