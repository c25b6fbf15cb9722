"""Text of others, such as names of files and messages of plugins, made safe to print."""


def escaped(text: str) -> str:
    """A text in one line, with everything that is not printed as itself written as Python writes it in a literal.

    Line breaks, other control characters (among them those that terminals obey), marks that turn the direction of
    writing, unusual spaces, and the halves of characters that stand for bytes which are not UTF-8: `\\n`, `\\x1b`,
    `\\u202e`, `\\xa0`, `\\udcff`.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
