"""The shapes of models that are measured, and what a forward of them costs in floating point operations."""

from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class Shape:
    """Sizes of a video diffusion transformer and of the video that it is measured on."""

    name: str
    width: int
    heads: int
    ffn_width: int
    layers: int
    latent_channels: int
    rows: int
    """Tokens along the height of a latent frame."""
    cols: int
    pixels: tuple[int, int]
    """Height and width of the video that has `rows x cols` tokens."""
    text_rows: int = 512
    text_width: int = 4096
    time_width: int = 256
    patch: int = 2
    block_frames: int = 3
    clip_frames: int = 21
    """Latent frames of the clips that the model was trained on."""
    pixel_frames: int = 4
    """Pixel frames to a latent frame, the first one excepted."""
    causal: bool = True
    """Blocks and a KV cache; False: all frames attend to each other, with a timestep for each token."""

    @property
    def head_dim(self) -> int:
        """Channels of an attention head."""
        return self.width // self.heads

    @property
    def tokens_per_frame(self) -> int:
        """Tokens of a latent frame."""
        return self.rows * self.cols

    @property
    def block_length(self) -> int:
        """Frames of one forward."""
        return self.block_frames if self.causal else self.clip_frames


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            name="wan2.1-1.3b",
            width=1536,
            heads=12,
            ffn_width=8960,
            layers=30,
            latent_channels=16,
            rows=30,
            cols=52,
            pixels=(480, 832),
        ),
        Shape(
            name="wan2.2-5b",
            width=3072,
            heads=24,
            ffn_width=14336,
            layers=30,
            latent_channels=48,
            rows=22,
            cols=40,
            pixels=(704, 1280),
            causal=False,
        ),
        # no model's: small enough to try every part of the bench in seconds
        Shape(
            name="toy",
            width=64,
            heads=2,
            ffn_width=128,
            layers=2,
            latent_channels=4,
            rows=6,
            cols=8,
            pixels=(96, 128),
            text_rows=16,
            text_width=32,
            time_width=32,
            clip_frames=6,
        ),
    )
}


def shape_named(name: str) -> Shape:
    """The shape of that name.

    Raises:
        LookupError: there is none; the message lists what there is.
    """
    if name not in SHAPES:
        raise LookupError(f"no shape named {name!r}; there are: {', '.join(sorted(SHAPES))}")
    return SHAPES[name]


Kind = Literal["linear", "self_attention", "cross_attention"]


def flops_per_token(shape: Shape, context_tokens: int, *, layers: int | None = None) -> dict[Kind, float]:
    """Floating point operations of one kept token in one forward, by kind; a multiply-add counts as two.

    linear: q, k, v, output of self-attention, q, output of cross-attention: 6 width^2; feed-forward: 2 width ffn.
    self-attention: scores and weighted values, 2 context width; cross-attention: 2 text_rows width.
    Norms, rotations, embeddings and the text's own projections (once per prompt) are left out.

    Args:
        shape: sizes of the model.
        context_tokens: keys that a query attends to.
        layers: None: all of the shape.
    """
    count = shape.layers if layers is None else layers
    width = shape.width
    return {
        "linear": 2.0 * count * (6 * width**2 + 2 * width * shape.ffn_width),
        "self_attention": 4.0 * count * context_tokens * width,
        "cross_attention": 4.0 * count * shape.text_rows * width,
    }


def forward_flops(shape: Shape, kept_tokens: int, context_tokens: int, *, layers: int | None = None) -> float:
    """Floating point operations of one forward over `kept_tokens` queries."""
    return kept_tokens * sum(flops_per_token(shape, context_tokens, layers=layers).values())
