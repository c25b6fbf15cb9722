"""Text in messages: counts, and names and messages from outside made safe to print."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `1 frame`, `2 frames`.

    Args:
        number: how many.
        noun: what is counted, in the singular.
        plural: for nouns whose plural is not formed with an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def escaped(text: str) -> str:
    r"""A text in one line, in which characters that are not printable are written as in a Python literal.

    These are line breaks, other control characters (terminals obey some of them), marks that change the writing
    direction, unusual spaces, and surrogates that stand for bytes which are not UTF-8: `\n`, `\x1b`, `\u202e`, `\xa0`,
    `\udcff`.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def one_line(error: BaseException) -> str:
    """An error in one line: its message and notes, and its type unless that is one that a command expects."""
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    expected = isinstance(error, ValueError | LookupError | OSError | ArithmeticError | RuntimeError)
    if not (expected and text):
        text = f"{type(error).__name__}: {text or 'no message'} (unexpected; run again with --debug to see where)"
    return "; ".join([text, *getattr(error, "__notes__", ())])
