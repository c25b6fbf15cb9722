"""Captions consist of words that the model knows."""

import numpy as np

from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.clips.looks import LOOKS, MODIFIERS
from lipar_adapters.tiny.clips.scenes import make_scenes
from lipar_adapters.tiny.recipe.captions import caption
from lipar_adapters.tiny.vocabulary import LOOK_PHRASES, MODIFIER_PHRASES, unknown_words


def test_captions_use_known_words_only(library: Library) -> None:
    assert set(LOOK_PHRASES) == set(LOOKS) and set(MODIFIER_PHRASES) == set(MODIFIERS)
    rng = np.random.default_rng(0)
    for scene in make_scenes(2, 20, 2, library):
        for content in (scene.content, *scene.changed):
            said = caption(
                rng,
                str(rng.choice(list(LOOKS))),
                str(rng.choice(list(MODIFIERS))),
                content,
                content != scene.content,
            )
            assert unknown_words(said) == {}
