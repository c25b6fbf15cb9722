"""The hooks of lipar: `lipar_register_*` offer parts, the three stages can be replaced or watched.

Hooks are called by keyword; an implementation names only the arguments it uses.
"""

from typing import TYPE_CHECKING

import pluggy

from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass
from lipar.types import Latents

if TYPE_CHECKING:
    from lipar.registry import Registry
    from lipar.scheduler import Job

hookspec = pluggy.HookspecMarker("lipar")
hookimpl = pluggy.HookimplMarker("lipar")


@hookspec
def lipar_register_criteria(registry: "Registry") -> None:
    """Offer criteria: `registry.add("name", PartClass)`.

    Called once per plugin when it is loaded. Each name may be offered once; the second owner is refused.

    Args:
        registry: where criteria are registered.
    """


@hookspec
def lipar_register_refiners(registry: "Registry") -> None:
    """Offer refiners; as `lipar_register_criteria`.

    Args:
        registry: where refiners are registered.
    """


@hookspec
def lipar_register_recoveries(registry: "Registry") -> None:
    """Offer recoveries; as `lipar_register_criteria`.

    Args:
        registry: where recoveries are registered.
    """


@hookspec
def lipar_register_noise_sources(registry: "Registry") -> None:
    """Offer noise sources; as `lipar_register_criteria`.

    Args:
        registry: where noise sources are registered.
    """


@hookspec
def lipar_register_restorers(registry: "Registry") -> None:
    """Offer restorers; as `lipar_register_criteria`.

    Args:
        registry: where restorers are registered.
    """


@hookspec
def lipar_register_adapters(registry: "Registry") -> None:
    """Offer model adapters; as `lipar_register_criteria`.

    Import the model's library inside `load`, not at the top of the module.

    Args:
        registry: where adapters are registered.
    """


@hookspec(firstresult=True)
def lipar_prune(job: "Job", source: Latents, upcoming: list[Latents], first_frame: int) -> TokenLayout | None:
    """Decide which tokens of a block are computed.

    Called once per block, in order, before noise is added. The first plugin to answer wins; lipar's own
    answer, the mask of the chosen criterion and refiners, comes last. Return None to pass. Wrap it to look
    on without deciding.

    Args:
        job: the parts and the state of this run; read it, leave it.
        source: clean latents of the block, in the scale the DiT sees.
        upcoming: the blocks after it that the chosen parts look ahead to; fewer at the end of a scene.
        first_frame: index of the block's first frame in the video.
    """


@hookspec(firstresult=True)
def lipar_forward(
    job: "Job", latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
) -> Latents | None:
    """Run the model over the kept tokens of a block; give the flow (noise - clean).

    Called once per denoise step and once for the clean pass of each block with a kept token. The first plugin
    to answer wins; lipar's own answer, the adapter's model, comes last. Values at pruned places are not read.
    Wrap it to time or to watch.

    Args:
        job: the parts and the state of this run; read it, leave it.
        latents: noisy latents of the block; in the clean pass the restored ones.
        forward_pass: step, sigma and timestep; `forward_pass.clean` says that this pass writes the KV cache.
        layout: the kept tokens.
    """


@hookspec(firstresult=True)
def lipar_restore(job: "Job", denoised: Latents, layout: TokenLayout) -> Latents | None:
    """Give a block's full latents from its kept tokens.

    Called once per block, after the last denoise step and before the clean pass. The first plugin to answer
    wins; lipar's own answer, the chosen restorer, comes last.

    Args:
        job: the parts and the state of this run; `job.history` is the restored frame before the block.
        denoised: the block's latents; values at pruned places mean nothing.
        layout: the kept tokens.
    """
