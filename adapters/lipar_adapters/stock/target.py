"""How `lipar.enable` attaches to the transformers and pipelines of a family.

Each object owns what was enabled on it: a transformer its hooks (`seam`), a pipeline its record (`enabled_pipeline`).
`lipar.disable` of one leaves the other's.
"""

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from lipar.enabling.session import Session
from lipar.enabling.target_info import TargetInfo

if TYPE_CHECKING:  # they load diffusers, which a target must not do before there is an object of it
    from lipar_adapters.stock.enabled_pipeline import EnabledPipeline
    from lipar_adapters.stock.seam import StockSeam


class StockTarget(ABC):
    """Transformers and pipelines of one family (`lipar.enabling.target.Target`, but for `describe`)."""

    supported: ClassVar[str]
    """Names of the supported classes, for messages."""
    transformer: ClassVar[tuple[str, str]]
    """Module and name of the transformer's class."""
    pipelines: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Module and name of each pipeline's class; empty: only transformers are supported."""

    @staticmethod
    @abstractmethod
    def seam_kind() -> "type[StockSeam]":
        """The family's seam; imported here, when there is an object to put it on."""

    @staticmethod
    def pipeline_kind() -> "type[EnabledPipeline]":
        """The family's record of an enabled pipeline; needed where `pipelines` lists some."""
        from lipar_adapters.stock.enabled_pipeline import EnabledPipeline

        return EnabledPipeline

    def enabled(self, pipe: Any, session: Session) -> "EnabledPipeline":
        """The record of a pipeline that is to be enabled."""
        return self.pipeline_kind()(pipe, session)

    @abstractmethod
    def describe(self, target: Any) -> TargetInfo:
        """What is known about an object, see `lipar.enabling.target.Target.describe`."""

    def recognises(self, target: object) -> bool:
        """Whether it is of the family; imports nothing, an object's class is already loaded."""
        return is_a(target, *self.transformer) or self.is_pipeline(target)

    def is_pipeline(self, target: object) -> bool:
        """Whether it is a pipeline of the family."""
        return any(is_a(target, module, name) for module, name in self.pipelines)

    def checked_transformers(self, target: Any) -> dict[str, Any]:
        """The transformers of an object by name, after a check that each can be pruned.

        Raises:
            TypeError: there is none, or one was replaced by what cannot be pruned.
            ValueError: lipar already prunes one in another way.
        """
        from lipar_adapters.stock.enabled_pipeline import experts

        found = dict(experts(target)) if self.is_pipeline(target) else {"transformer": target}
        if not found:
            raise TypeError(f"this {type(target).__name__} has no transformer that could be pruned")
        for transformer in found.values():
            self.seam_kind().check_free(transformer)
        return found

    def attach(self, target: Any, session: Session) -> None:
        """Prune all forwards of a transformer, or those of a pipeline's calls, by a session."""
        from lipar_adapters.stock.seam import seam_of

        if self.is_pipeline(target):
            self.enabled(target, session).put()
            return
        seam = seam_of(target) or self.seam_kind()(target)
        seam.own = session

    def session_of(self, target: Any) -> Session | None:
        """The session that was attached to this object itself, or None."""
        from lipar_adapters.stock.enabled_pipeline import EnabledPipeline
        from lipar_adapters.stock.seam import seam_of

        if self.is_pipeline(target):
            enabled = EnabledPipeline.on(target)
            return None if enabled is None else enabled.session
        seam = seam_of(target)
        return None if seam is None else seam.own

    def detach(self, target: Any) -> None:
        """Restore the object's attributes, hooks and processors."""
        from lipar_adapters.stock.seam import seam_of, strip

        if self.is_pipeline(target):
            self.pipeline_kind().take_off(target)
            return
        seam = seam_of(target)
        if seam is None:
            strip(target)
        # a seam that is not enabled belongs to a model that lipar drives itself
        elif seam.is_enabled:
            seam.own = None
            seam.remove_if_idle()


def is_a(target: object, module: str, name: str) -> bool:
    """Whether an object is of a class, or derived from it, without an import of the class's module.

    Args:
        target: any object.
        module: full name of the class's module.
        name: of the class.
    """
    found = sys.modules.get(module)
    return found is not None and isinstance(target, getattr(found, name))
