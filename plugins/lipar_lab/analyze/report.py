"""The page of an analysis."""

from collections.abc import Mapping, Sequence

import attrs

from lipar.metrics.table import Metric
from lipar.page import Content, Markup, data_uri, document, facts, figure, table
from lipar_lab.analyze.plots import PAPER_CORRELATIONS, PAPER_LARGEST, Plot
from lipar_lab.analyze.tables import Table


@attrs.frozen(eq=False, kw_only=True)
class Findings:
    """What the page shows."""

    autoencoder: str
    correlations: Table
    correlation_plot: Plot
    largest: Table
    sweeps: Table
    similarity_plot: Plot
    metrics: Sequence[Metric]
    maps: Mapping[str, tuple[bytes, float]]
    """By clip: the video of its map, and the change that has the brightest colour."""
    failed: Mapping[str, str]
    """By clip: why it is not in the tables."""
    made_with: Mapping[str, str]


def page(found: Findings) -> str:
    """The page, as one HTML file.

    Args:
        found: what it shows.
    """
    sections: dict[str, Content] = {
        "Do latents change where pixels change?": _first(found),
        "What does the decoder tolerate?": _second(found),
    }
    if found.maps:
        sections["Redundancy maps"] = _maps(found)
    sections["Every theta"] = [_table(found.sweeps)]
    sections["Metrics"] = [f"{metric.label}: {metric.about}" for metric in found.metrics]
    if found.failed:
        sections["Not analysed"] = [facts(dict(found.failed))]
    sections["Made with"] = [facts(dict(found.made_with))]
    return document(
        "Redundancy of latents",
        sections,
        summary=f"Two experiments of arXiv 2603.05811 on {found.autoencoder}.",
        styles=["video { width: 100%; max-width: 60rem; height: auto; }"],
    )


def _first(found: Findings) -> list[str]:
    paper = " and ".join(f"{value:.2f} ({name})" for name, value in PAPER_CORRELATIONS.items())
    return [
        "Pearson correlation of the L1 change of pixel patches and of latent patches, from each patch to the next in "
        "time at the same place. A latent patch is 2 frames of 2x2 latents, a pixel patch the pixels that they stand "
        f"for. The paper has {paper} on DAVIS 2017: another data set, and other autoencoders.",
        _table(found.correlations),
        figure(found.correlation_plot.svg, "svg", "Changes of patches, and correlation by clip"),
    ]


def _second(found: Findings) -> list[str]:
    value, fraction = PAPER_LARGEST["lpips"]
    return [
        "A latent patch p(t+1) is replaced by p(t) where their mean absolute difference per value is below theta; then "
        "the latents are decoded and compared with the decoded original. The table has the largest fraction of patches "
        "that can be replaced under each bound, on straight lines between the measured points. The paper has "
        f"{100 * fraction:.0f} % at LPIPS <= {value}, on DAVIS 2017 with the Wan VAEs.",
        _table(found.largest),
        figure(
            found.similarity_plot.svg,
            "svg",
            "Similarity to the decoded original by fraction replaced",
            "Thin: clips. Thick: their mean. Red: the bound, and the largest fraction of the mean under it. "
            "Where nothing is replaced, PSNR is infinite and not drawn.",
        ),
    ]


def _maps(found: Findings) -> list[str]:
    blocks: list[str] = [
        "Left: the source. Right: the change of each latent patch from the one before, dark where there is none. "
        "Patches that stay dark are those that pruning can leave out."
    ]
    for name, (video, brightest) in found.maps.items():
        blocks.append(
            Markup(
                '<figure><video controls loop muted playsinline preload="metadata" src="{}" '
                'aria-label="Redundancy map of {}"></video><figcaption>{}: the brightest colour is a change of '
                "{} per value, or more.</figcaption></figure>"
            ).format(data_uri(video, "video/mp4"), name, name, f"{brightest:.2f}")
        )
    return blocks


def _table(found: Table) -> Markup:
    rows = found.shown()
    numeric = [
        name
        for column, name in enumerate(found.head)
        if column and any(row[column][:1].isdigit() for row in rows)
    ]
    return table(found.head, rows, numeric=numeric)
