"""lipar's own implementations of the three stage hooks, which call the chosen parts; and checks of any result."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lipar.hookspecs import hookimpl
from lipar.job import Job
from lipar.layout import TokenLayout, patchify, unpatchify
from lipar.plugin.checks import AnswerError, are_finite, came, check_tensor, spoilt
from lipar.protocols import ForwardPass
from lipar.types import Latents


@hookimpl(trylast=True)
def lipar_prune(job: Job, first_frame: int) -> TokenLayout:
    """The mask of the chosen criterion and refiners."""
    return TokenLayout(job.masks.decide(), first_frame=first_frame, has_history=job.history is not None)


@hookimpl(trylast=True)
def lipar_forward(job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout) -> Latents:
    """The adapter's model on the kept tokens."""
    assert job.context is not None
    return job.engine.forward(latents, forward_pass, job.context)


@hookimpl(trylast=True)
def lipar_restore(job: Job, denoised: Latents, layout: TokenLayout) -> Latents:
    """The chosen restorer on the kept tokens."""
    kept = layout.prune(patchify(denoised, job.patch_size))
    return unpatchify(job.parts.restorer(layout, job.history, kept), layout.grid, job.patch_size)


def check_layout(who: str, given: Mapping[str, Any], beneath: Any, answer: Any) -> None:
    """Refuse what is not a layout of the current block.

    Args:
        who: the hook, with its plugin.
        given: its arguments.
        beneath: the result that a wrapper changed; else None.
        answer: what it returned.

    Raises:
        AnswerError: it is of another type, grid, frame or device.
    """
    source, job = given["source"], given["job"]
    frames, _, height, width = source.shape[1:]
    grid = (frames, height // job.patch_size, width // job.patch_size)
    if not isinstance(answer, TokenLayout):
        raise AnswerError(f"{who} gave {came(answer)}; return a lipar.TokenLayout of {grid} tokens, or None")
    if answer.grid != grid:
        raise AnswerError(
            f"{who} gave a layout of {answer.grid} for a block of {grid} tokens (frames, rows, columns); return one "
            "of the block's grid"
        )
    wanted = {
        "first_frame": (answer.first_frame, given["first_frame"]),
        "has_history": (answer.has_history, job.history is not None),
    }
    for name, (value, block) in wanted.items():
        if value != block:
            raise AnswerError(
                f"{who} gave a layout with {name}={value} for a block with {name}={block}; return "
                "TokenLayout(keep_mask, first_frame=first_frame, has_history=job.history is not None)"
            )
    if answer.keep_mask.device != source.device:
        raise AnswerError(
            f"{who} gave a layout on {answer.keep_mask.device}; return one on the source's {source.device}"
        )


def check_flow(who: str, given: Mapping[str, Any], beneath: Any, answer: Any) -> None:
    """Refuse what is not the flow of the block's latents; its values are checked when the block ends.

    Args:
        who: the hook, with its plugin.
        given: its arguments.
        beneath: the result that a wrapper changed; else None.
        answer: what it returned.

    Raises:
        AnswerError: it is of another type, shape or device.
    """
    job, latents, layout = given["job"], given["latents"], given["layout"]
    flow = _check_latents(who, "flow", answer, like=latents)

    def kept(values: Tensor) -> Tensor:
        tokens: Tensor = layout.prune(patchify(values, job.patch_size))
        return tokens

    def blame() -> Exception | None:
        before = (kept(latents), None if beneath is None else kept(beneath))
        return (
            None if not are_finite(*before) else _spoilt(who, "the flow of kept tokens", kept(flow), layout)
        )

    job.parts.checks.suspect(who, blame)


def check_restored(who: str, given: Mapping[str, Any], beneath: Any, answer: Any) -> None:
    """Refuse what are not latents of the block; their values are checked when the block ends.

    Args:
        who: the hook, with its plugin.
        given: its arguments.
        beneath: the result that a wrapper changed; else None.
        answer: what it returned.

    Raises:
        AnswerError: they are of another type, shape or device.
    """
    job, denoised, layout = given["job"], given["denoised"], given["layout"]
    restored = _check_latents(who, "restored latents", answer, like=denoised)
    history = job.history

    def blame() -> Exception | None:
        before = (layout.prune(patchify(denoised, job.patch_size)), history, beneath)
        return None if not are_finite(*before) else _spoilt(who, "restored latents", restored, layout)

    job.parts.checks.suspect(who, blame)


def _check_latents(who: str, what: str, answer: Any, *, like: Tensor) -> Tensor:
    return check_tensor(who, what, answer, shape=like.shape, device=like.device, dtype=like.dtype)


def _spoilt(who: str, what: str, values: Tensor, layout: TokenLayout) -> Exception | None:
    if are_finite(values):
        return None
    return AnswerError(
        f"{who} gave {spoilt(values)} among {values.numel()} values of {what}, in latent frames {layout.first_frame}.."
        f"{layout.first_frame + layout.frames - 1}; return finite values"
    )


ANSWERS = {"lipar_prune": check_layout, "lipar_forward": check_flow, "lipar_restore": check_restored}
"""The check of each stage's result, whichever plugin it is from."""
