"""The hooks that plugins implement.

`lipar_register_*` offer parts and commands; `lipar_prune`, `lipar_forward` and `lipar_restore` are the stages of a run,
which a plugin can replace or observe; `lipar_edit_begun`, `lipar_block_written` and `lipar_edit_ended` report an edit.

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
def lipar_register_mergings(registry: Registry) -> None:
    """Offer mergings; as `lipar_register_criteria`. The name `none` is taken: it means that nothing is merged.

    Args:
        registry: where mergings are registered.
    """


@hookspec
def lipar_register_reuses(registry: Registry) -> None:
    """Offer reuses; as `lipar_register_criteria`. The name `none` is taken: every step computes every kept token.

    Args:
        registry: where reuses are registered.
    """


@hookspec
def lipar_register_adapters(registry: Registry) -> None:
    """Offer model adapters; as `lipar_register_criteria`.

    Import the model's library inside `load`, not at the top of the module.

    Args:
        registry: where adapters are registered.
    """


@hookspec
def lipar_register_targets(registry: Registry) -> None:
    """Offer targets (`lipar.enabling.target.Target`), the objects that `lipar.enable` supports.

    As `lipar_register_criteria`. Every target is made without options and asked about every object, in the order of
    their names, so none may have a required option. Import the model's library inside the methods.

    Args:
        registry: where targets are registered.
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

    Called once per block, in order, before noise is added. The first plugin that returns a layout wins; lipar's own
    implementation, the mask of the chosen criterion and refiners, is called last. Return None to leave the decision to
    the next plugin. Wrap the hook to observe without changing the result. A block whose prompt is new is computed in
    full whatever is returned, or without a call where that prompt begins without history; where a mask says what may
    change, tokens outside it are pruned after the hook, and a block in which nothing may change may not be asked for.

    Args:
        job: the parts and the state of this run; read-only.
        source: clean latents of the block, `b t c h w`, in the scale the DiT sees.
        upcoming: the following blocks that the chosen parts look ahead to; fewer at the end of a scene.
        first_frame: index of the block's first latent frame in the video.
    """


@hookspec(firstresult=True)
def lipar_forward(
    job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
) -> Latents | None:
    """Run the model over the kept tokens of a block; return the flow (noise - clean).

    Called once per denoise step and once for the clean pass of each block with a kept token. The first plugin that
    returns latents wins; lipar's own implementation, the adapter's model, is called last. Values at pruned places are
    not read, nor is the flow of the clean pass, which lipar ends where the last layer has its keys and values. Wrap the
    hook to measure time or to observe.

    Args:
        job: the parts and the state of this run; read-only.
        latents: noisy latents of the block, `b t c h w`; in the clean pass the restored ones.
        forward_pass: step, sigma and timestep; `forward_pass.clean` is True for the pass that writes the KV cache.
        layout: the kept tokens.
    """


@hookspec(firstresult=True)
def lipar_restore(job: Job, denoised: Latents, layout: TokenLayout) -> Latents | None:
    """Make a block's full latents from its kept tokens.

    Called once per block, after the last denoise step and before the clean pass. The first plugin that returns latents
    wins; lipar's own implementation, the chosen restorer, is called last.

    Args:
        job: the parts and the state of this run; `job.history` is the restored frame before the block.
        denoised: the block's latents, `b t c h w`; values at pruned places are meaningless.
        layout: the kept tokens.
    """


@hookspec
def lipar_edit_begun(config: Config, options: EditOptions, model: Model, frames: int | None) -> None:
    """Called when an edit begins: the files are open, and no frame has been read.

    Called once per edit, in every plugin. Return values are ignored.

    Args:
        config: names and numbers of the run.
        options: paths, prompt and sizes.
        model: the loaded model; read-only.
        frames: pixel frames of the source; None if the file does not say.
    """


@hookspec
def lipar_block_written(block: RestoredBlock, pixel_frames: int, spans: Sequence[Span]) -> None:
    """Called when the pixel frames of a block have been passed to the writer, which writes them in a thread.

    Called once per block, in order, in every plugin. Return values are ignored.

    Args:
        block: its latents, layout and first frame.
        pixel_frames: number of frames written, without the copies that fill up the last block.
        spans: what was done since the previous block, in all threads, stage by stage, in seconds.
    """


@hookspec
def lipar_edit_ended(report: EditReport | None, error: BaseException | None, spans: Sequence[Span]) -> None:
    """Called when an edit ends, successfully or not.

    Called once for every `lipar_edit_begun`, in every plugin. Return values are ignored.

    Args:
        report: what the edit did; None if it failed.
        error: what stopped it, `KeyboardInterrupt` included; None if it is complete.
        spans: what was done since the last block; empty if the edit failed.
    """
