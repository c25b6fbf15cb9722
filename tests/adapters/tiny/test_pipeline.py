"""The bundled transformer, its text and its weights."""

import pytest
import torch

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.clips.looks import apply_look
from lipar_adapters.tiny.parts import TinyParts, load
from lipar_adapters.tiny.recipe.evaluate import (
    JUDGED,
    edge_correlation,
    held_back_clips,
    look_report,
    nearest_look,
    reconstruct,
)
from lipar_adapters.tiny.recipe.lean_forward import Window, teacher_forced_flow
from lipar_adapters.tiny.recipe.preview import sample, seeded_noise, shifted_sigmas, steps_for_strength
from lipar_adapters.tiny.vocabulary import THEMES, split_words, unknown_words, words


@pytest.fixture(scope="module")
def parts() -> TinyParts:
    return load()


@torch.no_grad()
def test_the_lean_forward_is_the_stock_one_for_a_block_without_context(parts: TinyParts) -> None:
    noisy, text = torch.randn(2, 3, 16, 8, 12), parts.encode_prompt(["night", "oil painting"])
    lean = teacher_forced_flow(
        parts.transformer, torch.randn_like(noisy), noisy, torch.tensor([[0.5], [0.8]]), text, Window()
    )
    stock = parts.transformer(noisy.transpose(1, 2), torch.tensor([500.0, 800.0]), text).sample.transpose(
        1, 2
    )
    assert_near(lean, stock, 1e-4)


@torch.no_grad()
def test_a_block_sees_no_later_one(parts: TinyParts) -> None:
    clean, noisy, text = (
        torch.randn(1, 9, 16, 4, 4),
        torch.randn(1, 9, 16, 4, 4),
        parts.encode_prompt(["snow"]),
    )
    sigma = torch.full((1, 3), 0.6)
    whole = teacher_forced_flow(parts.transformer, clean, noisy, sigma, text, Window())
    early = teacher_forced_flow(parts.transformer, clean[:, :6], noisy[:, :6], sigma[:, :2], text, Window())
    assert_near(whole[:, :6], early, 5e-5)


def test_a_context_is_the_sink_and_the_window() -> None:
    assert [Window().context(block) for block in range(4)] == [[], [0, 1, 2], [0, 3, 4, 5], [0, 6, 7, 8]]
    assert Window(window_frames=None).context(2) == [0, 1, 2, 3, 4, 5]


@torch.no_grad()
def test_an_edit_is_repeatable_and_depends_on_its_prompt(parts: TinyParts) -> None:
    source = torch.randn(2, 6, 16, 8, 8)[:1].expand(2, -1, -1, -1, -1)
    sigmas = shifted_sigmas(steps_for_strength(parts.config["edit_steps"], 0.4), parts.config["shift"])
    text = parts.encode_prompt(["night", "snow"])
    first, again = (
        sample(parts.transformer, text, source, sigmas, seeded_noise(3, (1, 3, 16, 8, 8))) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().mean() > 0.1


def test_text_is_padded_with_zero_rows(parts: TinyParts) -> None:
    text = parts.encode_prompt(["pencil sketch", ""])
    assert text.shape == (2, parts.config["text_length"], parts.transformer.config.text_dim)
    assert (text[0, 3:] == 0).all() and (text[0, :3] != 0).any(-1).all()


def test_unknown_words_come_with_their_nearest() -> None:
    assert unknown_words("A blue ball instead of a red one; pencil sketch, warm colours") == {}
    found = unknown_words("a knight in the snw, zzzz")
    assert found == {"knight": ["night"], "snw": ["snow"], "zzzz": []}


def test_function_words_are_ignored_and_only_near_misses_are_suggested() -> None:
    assert unknown_words("Please make it look like it's snow that is falling from the sky, by my house") == {
        "falling": [],
        "sky": [],
    }
    assert unknown_words("paint van owlet spaceship dogs paintng") == {
        **{word: [] for word in ("paint", "van", "owlet", "spaceship")},
        "dogs": ["dog"],
        "paintng": ["painting"],
    }


def test_every_theme_is_in_the_vocabulary_and_every_word_in_the_tokenizer() -> None:
    from lipar_adapters.tiny.text import build_tokenizer, tokenize

    known = set(words())
    assert all(
        word in known for phrases in THEMES.values() for phrase in phrases for word in split_words(phrase)
    )
    tokenizer = build_tokenizer()
    assert all(2 not in tokenize(tokenizer, [word]) for word in words())
    assert 2 in tokenize(tokenizer, ["dragonfly"])


def test_the_config_has_what_the_adapter_reads(parts: TinyParts) -> None:
    assert 0 < parts.config["tau_short"] < parts.config["tau_long"]
    sigmas = shifted_sigmas(parts.config["edit_steps"], parts.config["shift"])
    assert sigmas == sorted(sigmas, reverse=True)


@pytest.fixture(scope="module")
def judged(parts: TinyParts) -> dict[str, float]:
    return look_report(parts, None, count=3, size=128)


def test_the_prompted_look_is_told_from_the_others(judged: dict[str, float]) -> None:
    assert judged["nearest look is the prompted"] >= 0.9


def test_an_edit_keeps_the_edges_of_its_clip(judged: dict[str, float]) -> None:
    assert judged["edges"] >= 0.4
    assert judged["edges"] >= 2 * judged["edges of a shuffled clip"]


def test_the_judge_tells_exact_looks_apart_through_the_autoencoder(parts: TinyParts) -> None:
    clips = held_back_clips(3, 12, 128)
    exact = torch.stack([torch.stack([apply_look(clip, look) for look in JUDGED]) for clip in clips])
    for targets in exact:
        made = torch.cat([reconstruct(parts, target[None]) for target in targets])
        assert [nearest_look(video, targets) for video in made] == list(range(len(JUDGED)))


def test_edges_follow_the_picture_and_not_its_contrast() -> None:
    clip = held_back_clips(1, 12, 128)[0]
    assert edge_correlation(clip, clip) == pytest.approx(1, abs=1e-3)
    assert edge_correlation(0.4 * clip, clip) == pytest.approx(1, abs=1e-2)
    assert edge_correlation(clip.roll(16, dims=-1), clip) < 0.4
