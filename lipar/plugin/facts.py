"""The facts that parts require (`needs`) and that adapters and models provide (`gives`); see `compatibility`."""

from collections.abc import Collection, Mapping

FACTS: Mapping[str, str] = {
    "causal-cache": "a KV cache of the frames before the block",
    "clean-first-frame": "a clean first frame among the tokens",
    "pixels": "the source's pixel frames",
    "attention-bias": "attention that takes a bias for each key",
    "source": "a source video",
}
"""Each fact, and its description in messages and documents."""

CAUSAL = frozenset({"causal-cache", "pixels", "attention-bias", "source"})
"""What a causal Wan model gives when a video is edited."""


def spoken(facts: Collection[str]) -> str:
    """Facts in the words of messages, in the order of the table."""
    return " and ".join(text for fact, text in FACTS.items() if fact in facts)
