"""The hooks of lipar: `lipar_register_*` offer parts, the three stages can be replaced or watched, an edit is told of.

Hooks are called by keyword; an implementation names only the arguments it uses.
"""

from collections.abc import Sequence

from lipar.config import Config
from lipar.events import EditOptions, EditReport, Span
from lipar.job import Job, RestoredBlock
from lipar.layout import TokenLayout
from lipar.plugin.commands import Commands
from lipar.plugin.markers import hookimpl as hookimpl
from lipar.plugin.markers import hookspec as hookspec
from lipar.plugin.registry import Registry
from lipar.protocols import ForwardPass, Model
from lipar.types import Latents


@hookspec
def lipar_register_criteria(registry: Registry) -> None:
    """Offer criteria: `registry.add("name", PartClass)`.

    Called once per plugin when it is loaded. Each name may be offered once; the second owner is refused.

    Args:
        registry: where criteria are registered.
    """


@hookspec
def lipar_register_refiners(registry: Registry) -> None:
    """Offer refiners; as `lipar_register_criteria`.

    Args:
        registry: where refiners are registered.
    """


@hookspec
def lipar_register_recoveries(registry: Registry) -> None:
    """Offer recoveries; as `lipar_register_criteria`.

    Args:
        registry: where recoveries are registered.
    """


@hookspec
def lipar_register_noise_sources(registry: Registry) -> None:
    """Offer noise sources; as `lipar_register_criteria`.

    Args:
        registry: where noise sources are registered.
    """


@hookspec
def lipar_register_restorers(registry: Registry) -> None:
    """Offer restorers; as `lipar_register_criteria`.

    Args:
        registry: where restorers are registered.
    """


@hookspec
def lipar_register_adapters(registry: Registry) -> None:
    """Offer model adapters; as `lipar_register_criteria`.

    Import the model's library inside `load`, not at the top of the module.

    Args:
        registry: where adapters are registered.
    """


@hookspec
def lipar_register_commands(commands: Commands) -> None:
    """Offer commands: `commands.add("name", "my_package.my_module:my_command", help="One line.")`.

    Called when the list of commands is needed, in the modules that the entry-point group `lipar.commands` names; such
    a module must not import torch, since `lipar --help` waits for it. A plugin of the group `lipar` may implement the
    hook, too; it is loaded only for a command that the other group does not offer, and its commands are not in
    `lipar --help`. Each name may be offered once; the second owner is refused.

    Args:
        commands: the target of each command is a `click.Command`, imported when the command is run.
    """


@hookspec(firstresult=True)
def lipar_prune(job: Job, source: Latents, upcoming: list[Latents], first_frame: int) -> TokenLayout | None:
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
    job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
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
def lipar_restore(job: Job, denoised: Latents, layout: TokenLayout) -> Latents | None:
    """Give a block's full latents from its kept tokens.

    Called once per block, after the last denoise step and before the clean pass. The first plugin to answer
    wins; lipar's own answer, the chosen restorer, comes last.

    Args:
        job: the parts and the state of this run; `job.history` is the restored frame before the block.
        denoised: the block's latents; values at pruned places mean nothing.
        layout: the kept tokens.
    """


@hookspec
def lipar_edit_begun(config: Config, options: EditOptions, model: Model, frames: int | None) -> None:
    """Learn that an edit begins.

    Called once, when the files are open, before the first frame is read. All plugins are told; nothing is answered.

    Args:
        config: names and numbers of the run.
        options: paths, prompt and sizes.
        model: the loaded model; read it, leave it.
        frames: pixel frames of the source, None where the file does not say.
    """


@hookspec
def lipar_block_written(block: RestoredBlock, pixel_frames: int, spans: Sequence[Span]) -> None:
    """Learn that a block is done.

    Called once per block, in order, when its pixel frames are with the writer. All plugins are told.

    Args:
        block: its latents, layout and first frame.
        pixel_frames: how many were written; copies that fill up the last block are not among them.
        spans: what was done since the block before, stage by stage, in seconds.
    """


@hookspec
def lipar_edit_ended(report: EditReport | None, error: BaseException | None, spans: Sequence[Span]) -> None:
    """Learn that an edit ended, in whichever way.

    Called once for every `lipar_edit_begun`. All plugins are told.

    Args:
        report: what the edit did; None where it failed.
        error: what stopped it, `KeyboardInterrupt` included; None where it is complete.
        spans: what was done since the last block; none where it failed.
    """
