"""The numbers of one block of an edit."""

import attrs


@attrs.frozen(kw_only=True)
class BlockNumbers:
    """What the report needs of one block."""

    kept: int
    """Computed tokens of the latent frames that are shown; copies that fill up the last block are not."""
    tokens: int
    """All tokens of these frames."""
    has_history: bool
    """False for the first block of a scene, which is computed in full."""
    kept_fraction: float
    """Computed fraction of the whole block, copies included: what its time depends on."""
    seconds: float
    """Denoising and clean pass."""
    dense_seconds: float | None
    """The same with every token computed; None where the block was not probed."""
