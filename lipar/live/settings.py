"""What a user changes while a session runs."""

from typing import Any

import attrs
from attrs.validators import and_, optional

from lipar import bounds
from lipar.bounds import Within, shown
from lipar.config import Config, DecodeConfig

DEFAULTS = Config(decode=DecodeConfig(regions="auto"))
"""Config of a session: only what changed is decoded, where that is faster."""
PROMPT_LENGTH = 2000
"""Most characters of a prompt; text encoders read a few hundred words."""
NEW_RUN = ("strength", "keep", "threshold", "seed", "dense")
"""Settings that a run cannot change once it has begun, so that a new one begins."""


def _number(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{attribute.name} must be a number, got {shown(value)}")


def _prompt(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(
            f"prompt must say in a few words what the result should look like, got {shown(value)}"
        )
    if len(value) > PROMPT_LENGTH:
        raise ValueError(f"prompt must have at most {PROMPT_LENGTH} characters, got {len(value)}")


def _whole(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{attribute.name} must be a whole number, got {shown(value)}")


def _switch(instance: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} must be true or false, got {shown(value)}")


@attrs.frozen(kw_only=True)
class LiveSettings:
    """What a user changes while a session runs; each change takes effect at the next block.

    Raises:
        ValueError: a value of the wrong kind or outside its bounds, or both `keep` and another `threshold` than 1.
    """

    prompt: str = attrs.field(validator=_prompt)
    """What the result should look like, 1..2000 characters."""
    strength: float = attrs.field(
        default=0.4, validator=[_number, Within(0, 1, "0 leaves the source as it is, 1 begins from noise")]
    )
    """How much the edit changes; `lipar.Config.strength`."""
    keep: float | None = attrs.field(default=None, validator=optional(and_(_number, bounds.SHARE)))
    """Fraction of tokens to compute; None: as many as changed by more than the thresholds."""
    threshold: float = attrs.field(
        default=1.0, validator=[_number, Within(0.1, 10, "a factor on the thresholds of the config")]
    )
    """Factor on the thresholds above which a token has changed; more: fewer tokens are computed."""
    seed: int = attrs.field(default=0, validator=[_whole, bounds.SEED])
    """Of the Gaussian draws."""
    dense: bool = attrs.field(default=False, validator=_switch)
    """Compute every token."""
    overlay: bool = attrs.field(default=False, validator=_switch)
    """Shade what was not computed."""
    cross_fade: float = attrs.field(
        default=0.0, validator=[_number, Within(0, 5, "seconds; a longer one is a still picture")]
    )
    """Seconds in which the picture of the prompt before fades into a new one."""

    def __attrs_post_init__(self) -> None:
        if self.keep is not None and self.threshold != 1:
            raise ValueError(
                f"keep finds its own thresholds; leave threshold at 1 (got {self.threshold:g}), or keep empty"
            )

    def changed(self, /, **changes: Any) -> "LiveSettings":
        """These settings with others in some fields.

        Raises:
            TypeError: there is no such setting.
            ValueError: as the class.
        """
        known = [field.name for field in attrs.fields(LiveSettings)]
        for name in changes:
            if name not in known:
                raise TypeError(f"there is no setting {shown(name)}; settings: {', '.join(known)}")
        return attrs.evolve(self, **changes)

    def needs_new_run(self, before: "LiveSettings") -> bool:
        """Whether a run with the settings before cannot go on with these."""
        return any(getattr(self, name) != getattr(before, name) for name in NEW_RUN)

    def config(self, base: Config, taus: tuple[float, float] | None) -> Config:
        """The config of a run.

        Args:
            base: everything else.
            taus: short and long threshold that `base` stands for; None: the criterion has none.

        Raises:
            ValueError: `threshold` is a factor of thresholds that there are not.
        """
        prune = base.prune
        if self.keep is not None:
            prune = attrs.evolve(prune, tau_short=None, tau_long=None, quantile=None, keep=self.keep)
        elif self.threshold != 1:
            if taus is None:
                raise ValueError(
                    "threshold is a factor on thresholds, and the config of this session has none; set keep instead"
                )
            short, long = (self.threshold * tau for tau in taus)
            prune = attrs.evolve(prune, tau_short=short, tau_long=long, quantile=None, keep=None)
        return attrs.evolve(base, prune=prune, strength=float(self.strength), seed=self.seed)

    def as_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return attrs.asdict(self)
