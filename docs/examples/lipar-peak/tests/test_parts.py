"""Both parts satisfy the contract of their kind and do what they are meant for."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lipar_budget import Budget
from lipar_pan import Pan
from lipar_peak import Peak

from lipar import Scheduler, build_config, load_plugins
from lipar.testing.contracts import contract
from lipar.testing.strategies import layouts
from lipar.testing.toy import ToyAutoencoder, ToyModel

PARTS = [("criterion", Peak), ("recovery", Budget), ("recovery", partial(Budget, share=0.3))]


@pytest.mark.parametrize(
    ("make", "law"),
    [pytest.param(make, law, id=law.__name__) for kind, make in PARTS for law in contract(kind)],
)
def test_the_parts_keep_their_contracts(make, law):
    law(make)


def test_a_single_value_that_changed_counts_in_full():
    before = torch.zeros(1, 1, 2, 16)
    now = before.clone()
    now[0, 0, 1, 5] = -3.0
    assert Peak(gain=2.0)(now, before).tolist() == [[[0.0, 6.0]]]


def attended(layout, share):
    """How many places of a block are attended to."""
    present = Budget(share=share).plan(layout).present
    return layout.token_count if present is None else int(present.sum())


@given(layout=layouts(), share=st.floats(0.01, 1.0))
def test_the_places_attended_to_fit_the_share_and_one_more_degree_would_not(layout, share):
    degree = Budget(share=share).degree(layout)
    allowed = share * layout.token_count
    assert degree == 1 or attended(layout, share) <= allowed
    if degree < layout.frames:
        more = layout.run_length.clamp(max=degree + 1) / layout.run_length
        assert round(float(more.sum())) > allowed


@given(layout=layouts(), shares=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)))
def test_a_larger_share_never_attends_to_less(layout, shares):
    assert attended(layout, min(shares)) <= attended(layout, max(shares))


def test_only_what_a_panning_camera_uncovers_is_computed():
    """A texture behind a window that moves by one token a frame; the window's own latents are cut out of it."""
    canvas = torch.randn(4, 8, 60, generator=torch.Generator().manual_seed(0))
    source = torch.stack([canvas[:, :, 30 - 2 * t : 38 - 2 * t] for t in range(9)])[None]
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    config = build_config(settings=["prune.scene_cuts=false"])  # a texture that moves far looks like one
    blocks = list(Scheduler(model, config, host=load_plugins(Pan(down=0, right=1))).run([source]))
    shown = torch.cat([block.latents for block in blocks], dim=1)
    for block in blocks[1:]:
        assert block.layout.keep_mask.any(1).tolist() == [[True, False, False, False]] * 3
    for before, frame in zip(shown[0, 2:], shown[0, 3:], strict=False):
        assert torch.equal(frame[..., 2:], before[..., :-2])


def test_the_installed_parts_run_a_video_by_their_names():
    config = build_config(settings=["criterion=peak", "recovery=budget", "recovery.share=0.5"])
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    source = torch.randn(1, 1, 4, 8, 8) + 0.1 * torch.randn(1, 9, 4, 8, 8)
    blocks = list(Scheduler(model, config, host=load_plugins()).run([source]))
    assert len(blocks) == 3
    assert isinstance(Scheduler(model, config).job.parts.recovery, Budget)
