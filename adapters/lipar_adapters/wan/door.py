"""How `lipar.enable` takes hold of Wan transformers: the class methods of `lipar.door.Door`."""

import sys
from typing import Any, ClassVar

from lipar.door import Hold


class WanDoor:
    """For adapters of the Wan family to inherit."""

    __slots__ = ()

    door_targets: ClassVar[str] = "diffusers.WanTransformer3DModel"

    @classmethod
    def recognises(cls, target: object) -> bool:
        """Whether it is a stock Wan transformer; looks it up where it would have been imported from."""
        module = sys.modules.get("diffusers.models.transformers.transformer_wan")
        return module is not None and isinstance(target, module.WanTransformer3DModel)

    @classmethod
    def attach(cls, target: Any, hold: Hold) -> None:
        from lipar_adapters.wan.seam import WanSeam

        WanSeam(target, hold=hold)

    @classmethod
    def hold_of(cls, target: Any) -> Hold | None:
        from lipar_adapters.wan.seam import seam_of

        seam = seam_of(target)
        return seam.hold if seam is not None else None

    @classmethod
    def detach(cls, target: Any) -> None:
        from lipar_adapters.wan.seam import seam_of

        seam = seam_of(target)
        # a seam without a hold belongs to a model that lipar drives itself
        if seam is not None and seam.hold is not None:
            seam.remove()
