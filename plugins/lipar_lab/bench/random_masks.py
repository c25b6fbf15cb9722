"""Random keep masks that keep an exact number of tokens."""

from typing import Literal

import torch
import torch.nn.functional as F

from lipar.types import KeepMask

Spread = Literal["clustered", "uniform"]


def random_mask(
    grid: tuple[int, int, int],
    kept_fraction: float,
    *,
    spread: Spread = "clustered",
    seed: int = 0,
    whole_first_frame: bool = False,
) -> KeepMask:
    """A mask that keeps `round(kept_fraction * tokens)` tokens.

    Args:
        grid: frames, rows, columns.
        kept_fraction: fraction of the tokens to keep, 0..1.
        spread: `clustered`: regions some tokens wide, as moving objects give; `uniform`: independent for each token.
        seed: seed of the random field.
        whole_first_frame: keep all of frame 0, counted in that number, as the start of a clip must be.

    Raises:
        ValueError: the fraction is outside 0..1, or too small to keep all of frame 0.
    """
    tokens = grid[0] * grid[1] * grid[2]
    count = round(kept_fraction * tokens)
    if not 0 <= kept_fraction <= 1:
        raise ValueError(f"a kept fraction lies in 0..1, got {kept_fraction}")
    if whole_first_frame and count < grid[1] * grid[2]:
        raise ValueError(
            f"to keep all of frame 0 of {grid[0]}, keep at least {1 / grid[0]:.3f}, got {kept_fraction}"
        )
    field = torch.rand(grid, generator=torch.Generator().manual_seed(seed))
    if spread == "clustered":
        size = min(5, grid[1], grid[2])
        size -= 1 - size % 2
        for _ in range(3):
            field = F.avg_pool2d(field[None], size, stride=1, padding=size // 2, count_include_pad=False)[0]
            field[1:] = (field[1:] + field[:-1]) / 2
    if whole_first_frame:
        field[0] = torch.inf
    keep_mask = torch.zeros(tokens, dtype=torch.bool)
    keep_mask[field.flatten().topk(count).indices] = True
    return keep_mask.view(grid)
