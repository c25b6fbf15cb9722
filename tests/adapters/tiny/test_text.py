"""The tokenizer knows the vocabulary, and prompts end in zero rows."""

from lipar_adapters.tiny.parts import TinyParts
from lipar_adapters.tiny.vocabulary import THEMES, split_words, words


def test_text_is_padded_with_zero_rows(parts: TinyParts) -> None:
    text = parts.encode_prompt(["pencil sketch", ""])
    assert text.shape == (2, parts.config["text_length"], parts.transformer.config.text_dim)
    assert (text[0, 3:] == 0).all() and (text[0, :3] != 0).any(-1).all()


def test_every_theme_is_in_the_vocabulary_and_every_word_in_the_tokenizer() -> None:
    from lipar_adapters.tiny.text import build_tokenizer, tokenize

    known = set(words())
    assert all(
        word in known for phrases in THEMES.values() for phrase in phrases for word in split_words(phrase)
    )
    tokenizer = build_tokenizer()
    assert all(2 not in tokenize(tokenizer, [word]) for word in words())
    assert 2 in tokenize(tokenizer, ["dragonfly"])
