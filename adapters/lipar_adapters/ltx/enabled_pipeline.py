"""An enabled LTX pipeline."""

import warnings
from typing import ClassVar

from lipar.enabling.target import EnableWarning
from lipar_adapters.ltx.seam import LtxSeam
from lipar_adapters.stock.enabled_pipeline import EnabledPipeline
from lipar_adapters.stock.seam import StockSeam


class EnabledLtxPipeline(EnabledPipeline):
    """An LTX pipeline and the session that prunes its calls."""

    seam: ClassVar[type[StockSeam]] = LtxSeam

    def put(self) -> None:
        """Prune the pipeline's calls from now on."""
        super().put()
        if self.session.config.decode.regions == "on":
            warnings.warn(
                "decode='regions' has no effect: the autoencoder of LTX-Video cannot decode regions",
                EnableWarning,
                stacklevel=4,
            )

    def loop_begins(self) -> None:
        """Warn of a guidance that is not linear in the velocities."""
        rescale = self.pipe.guidance_rescale
        if rescale > 0 and self.pipe.do_classifier_free_guidance:
            warnings.warn(
                f"guidance_rescale={rescale} scales velocities, so pruned tokens do not arrive at the values of those "
                "that they repeat; leave it at 0 while lipar is on",
                EnableWarning,
                stacklevel=2,
            )
