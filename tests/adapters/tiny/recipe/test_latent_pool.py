"""Clips and edits that training draws."""

from collections import Counter

import numpy as np
import pytest

from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.clips.looks import LOOKS
from lipar_adapters.tiny.parts import WEIGHTS, load_text, load_vae
from lipar_adapters.tiny.recipe.latent_pool import HARD_LOOKS, Grid, draw_edit, draw_look, make_chunk


def test_clips_for_image_to_video_begin_with_one_pixel_frame(library: Library) -> None:
    tokenizer, _ = load_text(WEIGHTS)
    autoencoder = load_vae(WEIGHTS)
    chunk = make_chunk(3, Grid(2, 2, 3), autoencoder, library, tokenizer, 2, edits=1, first_frame_alone=True)
    assert chunk.source is None and chunk.target.shape == (2, 1, 3, 16, 4, 4)
    first = autoencoder.decode(chunk.target[:, 0])[0][:, :4]
    assert (first - first[:, :1]).abs().max() < 0.1


def test_looks_of_their_own_are_mostly_plain_and_never_recoloured() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_look(rng) for _ in range(300)]
    assert not any(change for _, _, change in drawn)
    assert 0.5 < np.mean([look == "photo" for look, _, _ in drawn]) < 0.7


def test_every_other_edit_is_of_a_look_and_hard_ones_come_twice_as_often() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(draw_edit(rng)[0] for _ in range(20_000))
    assert set(HARD_LOOKS) < set(LOOKS) == set(drawn)
    hard = np.mean([drawn[look] for look in HARD_LOOKS])
    others = np.mean([drawn[look] for look in LOOKS if look not in (*HARD_LOOKS, "photo")])
    assert hard == pytest.approx(2 * others, rel=0.1)
