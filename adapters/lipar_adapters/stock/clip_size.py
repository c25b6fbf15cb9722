"""Sizes of a clip that fit an autoencoder and a transformer."""


def check_clip_size(*, frames: int, height: int, width: int, group: int, token: tuple[int, int]) -> None:
    """Refuse sizes that a pipeline, or its autoencoder, would round silently.

    Args:
        frames: pixel frames of the clip.
        height: in pixels.
        width: likewise.
        group: pixel frames of every latent frame after the first, which has one.
        token: pixel rows and columns of a token.

    Raises:
        ValueError: the frames are not 1 + group * n, or the size is not in whole tokens; the message names sizes that
            fit.
    """
    if frames < 1 or (frames - 1) % group:
        fewer = max(frames - 1, 0) // group * group + 1
        raise ValueError(
            f"{frames} pixel frames do not make whole latent frames, which takes 1 + {group}n; "
            f"trim to {fewer} or repeat the last frame up to {fewer + group}"
        )
    rows, cols = token
    if height < rows or width < cols or height % rows or width % cols:
        near = [max(1, round(side / token)) * token for side, token in ((width, cols), (height, rows))]
        raise ValueError(
            f"{width}x{height} pixels do not divide into tokens of {cols}x{rows}; take {near[0]}x{near[1]}"
        )
