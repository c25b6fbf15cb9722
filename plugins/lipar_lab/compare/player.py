"""The player of a page: its markup, its data, and its scripts."""

from itertools import groupby
from typing import Any

from markupsafe import Markup

from lipar.page import base64_text, json_data, package_file
from lipar_lab.compare.page_content import PageContent, PageRun

PACKAGE = "lipar_lab.compare"
SCRIPTS = ("masks.js", "video_pair.js", "divider.js", "player.js")
"""In this order, since later ones use names of earlier ones."""
SERIES = 6
"""Number of colours of lines in `player.css`."""
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")


def player(content: PageContent) -> Markup:
    """Two videos with a divider, their controls, and the kept fraction per frame.

    Args:
        content: of the page.
    """
    width, height = content.size
    videos = Markup("\n").join(
        Markup('<script type="text/plain" id="video-{}">{}</script>').format(index, base64_text(run.video))
        for index, run in enumerate(content.runs)
    )
    return Markup(package_file(PACKAGE, "player.html")).format(
        ratio=f"{width / height:.5f}",
        last=content.frames - 1,
        graph=kept_graph(content),
        data=Markup("{}\n{}").format(json_data("player-data", player_data(content)), videos),
    )


def player_data(content: PageContent) -> dict[str, Any]:
    """What `player.js` reads.

    Args:
        content: of the page.

    Returns:
        `frames`, `fps`, `latent_of` (the latent frame of each frame), `rows` and `cols` of tokens; `masks` of the
        variants; `sides`, what can be chosen, each with a label, the index of its video, of its mask or None, and
        whether its pruned tokens are grey; `views`, indices of the left and the right side.
    """
    masks = [run.mask for run in content.variants if run.mask is not None]
    first = 1 + len(content.dense)
    plain = [
        {"label": run.name, "video": index, "mask": index - first if index >= first else None, "grey": False}
        for index, run in enumerate(content.runs)
    ]
    grey = [
        {"label": f"source, pruned tokens grey: {run.name}", "video": 0, "mask": index, "grey": True}
        for index, run in enumerate(content.variants)
    ]
    return {
        "frames": content.frames,
        "fps": float(content.frame_rate),
        "latent_of": list(content.latent_of),
        "rows": masks[0].rows,
        "cols": masks[0].cols,
        "masks": [{"runs": mask.runs, "kept": [round(kept, 4) for kept in mask.kept]} for mask in masks],
        "sides": [*plain, *grey],
        "views": {"dense": [1, first], "grey": [0, len(plain)]},
    }


def kept_graph(content: PageContent) -> Markup:
    """The kept fraction of each frame as lines, one per variant.

    Args:
        content: of the page.
    """
    frames = content.frames
    lines = Markup("").join(
        Markup('<polyline points="{}" {}/>').format(_steps(content, run), _stroke(index))
        for index, run in enumerate(content.variants)
    )
    legend = Markup("").join(
        Markup(
            '<li><svg viewBox="0 0 28 10" aria-hidden="true"><line x1="0" x2="28" y1="5" y2="5" stroke-width="2.5" {}/>'
            "</svg><span>{}</span> <output></output></li>"
        ).format(_stroke(index), run.name)
        for index, run in enumerate(content.variants)
    )
    return Markup(
        '<figure class="kept"><div class="plot"><span class="scale" style="top: 0">100 %</span>'
        '<span class="scale" style="top: calc(50% - .5em)">50 %</span>'
        '<span class="scale" style="bottom: 0">0 %</span>'
        '<svg viewBox="0 0 {} 100" preserveAspectRatio="none" role="img" '
        'aria-label="Kept fraction of each frame">{}</svg>'
        '<div class="playhead" style="left: 0"></div></div>\n<ul class="legend">{}</ul>'
        "<figcaption>Tokens computed in each frame. Click or drag to go to a frame.</figcaption></figure>"
    ).format(frames, lines, legend)


def _steps(content: PageContent, run: PageRun) -> str:
    assert run.mask is not None, "a variant has a mask"
    points, start = [], 0
    for latent, group in groupby(content.latent_of):
        stop = start + len(list(group))
        height = f"{100 * (1 - run.mask.kept[latent]):.2f}"
        points += [f"{start},{height}", f"{stop},{height}"]
        start = stop
    return " ".join(points)


def _stroke(index: int) -> Markup:
    return Markup('style="stroke: var(--series-{})" stroke-dasharray="{}"').format(
        index % SERIES, _DASHES[index % SERIES]
    )
