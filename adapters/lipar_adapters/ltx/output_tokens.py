"""The tokens of an LTX transformer as latents.

Input and output have the same order: each token has c channels of f p q latents, `(c f p q)`. All released models have
tokens of a single latent.
"""

from collections.abc import Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lipar.types import Latents


def latents_of_tokens(
    tokens: Float[Tensor, "b places d"], grid: tuple[int, int, int], *, patch: Sequence[int]
) -> Latents:
    """Tokens as latents `b t c h w`, time before channels.

    Args:
        tokens: one for each place of the grid.
        grid: frames, rows and columns of tokens.
        patch: latent frames, rows and columns of a token.
    """
    (frames, rows, cols), (f, p, q) = grid, patch
    sizes = {"t": frames, "h": rows, "w": cols, "f": f, "p": p, "q": q}
    return rearrange(tokens, "b (t h w) (c f p q) -> b (t f) c (h p) (w q)", **sizes)
