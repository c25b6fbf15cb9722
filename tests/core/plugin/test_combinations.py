"""Every combination of registered parts runs, or is refused for a reason that docs/reference/compatibility.md prints.

Criterion and refiners decide a keep mask and nothing else; recovery, noise source and restorer see a `TokenLayout` made
of it, and nothing else of how it came about. So the first two are crossed with each other, and the last three with each
other and with masks of every sort; the two halves meet in their defaults.
"""

import itertools
import re

import numpy as np
import pytest
import torch
from tools import compatibility_page

from lipar import ConfigError, Scheduler, TokenLayout, load_plugins
from lipar.config import Config, PartConfig, PruneConfig
from lipar.hookspecs import hookimpl
from lipar.layout import patchify
from lipar.masks.source import SourcePiece
from lipar.testing.closeness import spread
from lipar.testing.toy import ToyAutoencoder, ToyModel

BLOCK, BLOCKS, GRID = 2, 4, (2, 3, 3)
REFUSED: dict[str, str] = {"noise image-condition": "needs a clean first frame among the tokens"}
"""Parts, as `kind name`, that the toy cannot run, and why; short, and each reviewed."""


class Masks:
    """Keeps what is said for each block; the first block whole."""

    def __init__(self, share):
        generator = torch.Generator().manual_seed(0)
        self.masks = [torch.rand(GRID, generator=generator) < share for _ in range(BLOCKS)]
        self.masks[0] = torch.ones(GRID, dtype=torch.bool)

    @hookimpl
    def lipar_prune(self, job, first_frame):
        return TokenLayout(
            self.masks[first_frame // BLOCK], first_frame=first_frame, has_history=job.history is not None
        )


HOST = load_plugins()
BY_SHARE = {share: load_plugins(Masks(share)) for share in (0.0, 0.5, 1.0)}


def names(kind):
    return [part.name for part in HOST.registries[kind]]


def source():
    generator = torch.Generator().manual_seed(1)
    scene = torch.randn(1, 1, 4, 6, 6, generator=generator)
    return scene + 0.2 * torch.randn(1, BLOCK * BLOCKS, 4, 6, 6, generator=generator)


SOURCE = source()
PIECE = SourcePiece(
    latents=SOURCE,
    pixels=torch.rand(1, 4 * BLOCK * BLOCKS, 3, 24, 24, generator=torch.Generator().manual_seed(2)),
)


def reason_to_refuse(parts):
    """What the reviewed list says of the chosen parts; None: they run."""
    chosen = {f"{kind} {part.name}" for kind, part in parts.items() if isinstance(part, PartConfig)}
    recovery = HOST.registries["recovery"][parts.get("recovery", Config().recovery).name].part
    if not recovery.fills:  # then no noise source is asked
        chosen = {name for name in chosen if not name.startswith("noise ")}
    return next((reason for name, reason in REFUSED.items() if name in chosen), None)


def run(host=HOST, *, dense=False, **parts):
    """Restored blocks of the source; none where the parts are refused for the reason that was reviewed."""
    model = ToyModel(num_layers=2, block_frames=BLOCK, window_frames=4, autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    # the source is too noisy for a scene
    config = Config(prune=PruneConfig(scene_cuts=False), **parts)
    reason = reason_to_refuse(parts)
    if reason is None:
        return list(Scheduler(model, config, host=host, dense=dense).run([PIECE]))
    with pytest.raises(ConfigError, match=re.escape(reason)):
        Scheduler(model, config, host=host, dense=dense)
    return []


def joined(blocks):
    return torch.cat([block.latents for block in blocks], dim=1)


DENSE = joined(run(dense=True))


@pytest.mark.parametrize("noise", names("noise"))
@pytest.mark.parametrize("recovery", names("recovery"))
def test_every_recovery_runs_with_every_noise_source_and_restorer_on_every_sort_of_mask(recovery, noise):
    for restorer, (share, host) in itertools.product(names("restorer"), BY_SHARE.items()):
        chosen = {"recovery": recovery, "noise": noise, "restorer": restorer}
        blocks = run(host, **{kind: PartConfig(name) for kind, name in chosen.items()})
        if not blocks:
            continue
        assert bool(joined(blocks).isfinite().all()), (restorer, share)
        if share == 1.0:
            assert torch.equal(joined(blocks), DENSE), restorer
        for block, given in zip(blocks, SOURCE.split(BLOCK, dim=1), strict=True):
            edited = block.layout.prune(patchify(block.latents, 2))
            moved = (edited - block.layout.prune(patchify(given, 2))).abs()
            assert bool((moved > 1e-3 * spread(SOURCE)).any(dim=-1).all())


def chains():
    """Each refiner alone where that makes a chain, else behind the threshold; and the default chain."""
    alone = dict(compatibility_page.refused_alone(HOST))
    single = [(name,) if name not in alone else ("threshold", name) for name in names("refiner")]
    return [*single, tuple(refiner.name for refiner in Config().refiners)]


@pytest.mark.parametrize("criterion", names("criterion"))
def test_every_criterion_runs_with_every_refiner_alone_and_with_the_default_chain(criterion, tmp_path):
    np.save(tmp_path / "mask.npy", np.eye(8))
    needed = {
        "mask": {"path": str(tmp_path / "mask.npy")},
        "union": {"of": ["l1", "pixel"]},
        "intersection": {"of": ["l1", "cosine"]},
    }
    for chain in chains():
        chosen = PartConfig(criterion, needed.get(criterion, {}))
        blocks = run(criterion=chosen, refiners=tuple(map(PartConfig, chain)))
        if blocks:
            assert bool(joined(blocks).isfinite().all()), chain
            assert blocks[0].layout.kept_fraction == 1, chain


def test_the_page_on_compatibility_is_what_the_parts_declare():
    tables = compatibility_page.tables(HOST)
    written = compatibility_page.PAGE.read_text("utf-8")
    assert written.endswith(tables), "run python tests/tools/compatibility_page.py"
    assert all(reason in written for reason in REFUSED.values())
