"""The closed vocabulary of the tiny model, by theme: all words that its text encoder can tell apart."""

import difflib
import re
import warnings

from lipar.messages import counted

LOOK_PHRASES: dict[str, tuple[str, ...]] = {
    "photo": ("photo", "video", "realistic photo", "photograph"),
    "pencil sketch": ("pencil sketch", "sketch", "pencil drawing"),
    "oil painting": ("oil painting", "painting"),
    "watercolour": ("watercolour", "watercolor", "watercolour painting"),
    "cartoon": ("cartoon", "anime"),
    "comic": ("comic", "comic book"),
    "night": ("night", "at night", "moonlight"),
    "sunset": ("sunset", "at sunset", "golden hour"),
    "snow": ("snow", "winter", "in the snow"),
    "neon": ("neon", "neon lights", "cyberpunk"),
    "sepia": ("sepia",),
    "black and white": ("black and white", "monochrome", "grayscale"),
    "underwater": ("underwater", "under the sea"),
    "thermal": ("thermal", "thermal camera"),
    "fog": ("fog", "in the fog", "mist"),
    "autumn": ("autumn", "fall"),
    "pixel art": ("pixel art", "pixels"),
    "negative": ("negative", "inverted"),
    "vintage": ("vintage", "old film"),
    "blueprint": ("blueprint",),
}
MODIFIER_PHRASES: dict[str, tuple[str, ...]] = {
    "warm colours": ("warm colours", "warm colors", "warm"),
    "cool colours": ("cool colours", "cool colors", "cold"),
    "bright": ("bright", "light"),
    "dark": ("dark",),
    "vivid colours": ("vivid colours", "vivid colors", "colourful", "colorful"),
    "pastel colours": ("pastel colours", "pastel colors", "pastel"),
    "high contrast": ("high contrast",),
}
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.10, 0.10), "green": (0.12, 0.62, 0.18), "blue": (0.12, 0.25, 0.85), "yellow": (0.95, 0.85, 0.12),
    "orange": (0.95, 0.50, 0.08), "purple": (0.52, 0.16, 0.70), "pink": (0.95, 0.50, 0.68), "white": (0.95, 0.95, 0.95),
    "black": (0.07, 0.07, 0.07), "brown": (0.42, 0.25, 0.12), "turquoise": (0.12, 0.75, 0.75), "grey": (0.5, 0.5, 0.5),
}  # fmt: skip
SHAPES = ("ball", "box", "triangle", "star", "ring", "cross", "blob", "diamond")
STAMP_OBJECTS = (
    "bird", "fish", "cat", "dog", "cow", "horse", "insect", "animal", "fruit", "vegetable", "flower", "tree", "plant",
    "car", "vehicle", "house", "hat", "planet", "instrument", "food", "person", "cloud", "thing",
)  # fmt: skip
SCENES = ("noise", "stripes", "tiles", "cells", "gradient", "waves", "landscape", "wall")

THEMES: dict[str, tuple[str, ...]] = {
    "looks": tuple(phrase for phrases in LOOK_PHRASES.values() for phrase in phrases),
    "changes of light and colour": tuple(
        phrase for phrases in MODIFIER_PHRASES.values() for phrase in phrases
    ),
    "colours": tuple(COLOURS),
    "objects": SHAPES + STAMP_OBJECTS,
    "scenes": SCENES,
    "motion": ("moving", "still", "camera", "static", "panning"),
    "changes": ("instead", "of", "one"),
    "small words": ("a", "an", "the", "and", "on", "in", "at", "with", "under", "style", "colours", "colors"),
}
_FUNCTION_WORDS = """
about above across after all along also am among an and any are around as at be been before behind being below
beneath beside between both but by can could do does down during each every for from had has have he her here him
his i if in inside into is it its just like look looks make made me more most much my near next no not now off on
onto or our out outside over per please she so some such than that the their them then there these they this those
through to together too toward towards turn until up upon very was we were what when where which while who whose
will with within without would you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words without visual content: where the model does not know one, ignoring it loses nothing."""
NEAR = 0.82
"""`difflib`'s ratio of a word to the one that was meant: watercolours, snw and paintng are above; paint and plant are
below."""
PUNCTUATION = (",", ";", ".")
SPECIAL = ("<pad>", "</s>", "<unk>")


def split_words(prompt: str) -> list[str]:
    """Lower-case words, and the punctuation marks of the vocabulary."""
    return re.findall(r"[^\W_]+|[,;.]", prompt.lower())


def words() -> list[str]:
    """Every known word, sorted: with `SPECIAL` and `PUNCTUATION` before them, the tokenizer's order."""
    return sorted({word for phrases in THEMES.values() for phrase in phrases for word in split_words(phrase)})


class UnknownWordsWarning(UserWarning):
    """The prompt has words that are not in the model's vocabulary."""


def unknown_words(prompt: str, nearest: int = 1) -> dict[str, list[str]]:
    """Words of a prompt that the model does not know, each with known ones that are near (mostly none).

    Function words are not among them.
    """
    known = words()
    ignored = FUNCTION_WORDS.union(PUNCTUATION, known)
    # a single letter is what is left of an apostrophe
    asked = dict.fromkeys(word for word in split_words(prompt) if word not in ignored and len(word) > 1)
    return {word: difflib.get_close_matches(word, known, nearest, NEAR) for word in asked}


def warn_of_unknown_words(prompt: str, *, stacklevel: int, most: int = 8) -> None:
    """Warn of the words of a prompt that the model ignores, in one line and with similar known ones.

    Args:
        prompt: the words.
        stacklevel: as in `warnings.warn`.
        most: words that are named; the others are counted.

    Warns:
        UnknownWordsWarning: there are such words.
    """
    unknown = unknown_words(prompt)
    if not unknown:
        return
    said = [f"{word!r}" + (f" (did you mean {near[0]!r}?)" if near else "") for word, near in unknown.items()]
    if len(said) > most:
        said[most:] = [f"{counted(len(said) - most, 'more word')}"]
    warnings.warn(
        f"the tiny model does not know {', '.join(said)}; `lipar models show tiny` lists its words",
        UnknownWordsWarning,
        stacklevel=stacklevel,
    )
