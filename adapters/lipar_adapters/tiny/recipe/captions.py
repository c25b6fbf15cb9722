"""Captions for rendered clips: what is seen, in which look, in the words of the closed vocabulary."""

import numpy as np

from lipar_adapters.tiny.vocabulary import LOOK_PHRASES, MODIFIER_PHRASES

EMPTY = 0.1


def caption(
    rng: np.random.Generator, look: str, modifier: str | None, content: str, must_name_content: bool = False
) -> str:
    """One of several ways to say it; empty in 10 % of cases, content left out in about half unless it is the point."""
    if rng.random() < EMPTY and not must_name_content:
        return ""
    style = str(rng.choice(LOOK_PHRASES[look]))
    if rng.random() < 0.15 and " " not in style:
        style += " style"
    if modifier is not None:
        style += f", {rng.choice(MODIFIER_PHRASES[modifier])}"
    way = rng.random()
    if must_name_content:
        # The plain look may go unsaid when a change is asked for.
        return (
            content
            if look == "photo" and way < 0.5
            else f"{content}; {style}"
            if way < 0.75
            else f"{style}; {content}"
        )
    if way < 0.5:
        return style
    if way < 0.7:
        return f"{style} of {content}"
    return f"{content}; {style}" if way < 0.85 else f"a {style} of {content}"
