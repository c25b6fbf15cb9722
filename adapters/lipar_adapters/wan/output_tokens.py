"""Latents as tokens in the order of a Wan transformer's output, and back.

Each token has f p q latents of c channels, and `proj_out` gives them channels last: `(f p q c)`.
"""

from collections.abc import Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lipar.types import Latents


def output_tokens(latents: Float[Tensor, "b c t h w"], patch: Sequence[int]) -> Float[Tensor, "b places d"]:
    """Latents of diffusers, channels before time, as tokens of the model's output.

    What the patch does not divide is left out, as the model itself leaves it out.

    Args:
        latents: with the channels that are generated, not those of an image condition.
        patch: latent frames, rows and columns of a token.
    """
    f, p, q = patch
    frames, rows, cols = (size // side * side for size, side in zip(latents.shape[2:], patch, strict=True))
    divided = latents[:, :, :frames, :rows, :cols]
    return rearrange(divided, "b c (t f) (h p) (w q) -> b (t h w) (f p q c)", f=f, p=p, q=q)


def latents_of_tokens(
    tokens: Float[Tensor, "b places d"], grid: tuple[int, int, int], *, patch: Sequence[int]
) -> Latents:
    """Tokens of the model's output as latents `b t c h w`, time before channels.

    Args:
        tokens: one for each place of the grid.
        grid: frames, rows and columns of tokens.
        patch: latent frames, rows and columns of a token.
    """
    (frames, rows, cols), (f, p, q) = grid, patch
    sizes = {"t": frames, "h": rows, "w": cols, "f": f, "p": p, "q": q}
    return rearrange(tokens, "b (t h w) (f p q c) -> b (t f) c (h p) (w q)", **sizes)
