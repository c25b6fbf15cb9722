"""A plan as lines of text."""

from collections.abc import Sequence
from statistics import mean, median

from lipar.messages import counted
from lipar_lab.plan.block_plan import BlockPlan
from lipar_lab.plan.calibration import Calibration
from lipar_lab.plan.check import Check
from lipar_lab.plan.clip import ClipPlan
from lipar_lab.plan.fit import points_of
from lipar_lab.plan.prediction import STAGES, BlockSeconds, Prediction, Predictor
from lipar_lab.plan.target import Target

GIB = 2**30
MOST_SPREAD = 0.1
"""More than this between repetitions of one pass is said."""
SHOWN_BLOCKS = 24
"""Of a longer clip only the first and the last blocks are listed."""


def clip_lines(plan: ClipPlan, prediction: Prediction | None) -> list[str]:
    """What is kept: the clip, its blocks and scene cuts.

    Args:
        plan: of the clip.
        prediction: gives a column with the seconds of each block; None: there is none.
    """
    lines = [
        f"{plan.path}: {counted(plan.pixel_frames, 'frame')} of {plan.shown_size[0]}x{plan.shown_size[1]}, processed "
        f"at {plan.size[0]}x{plan.size[1]} in {counted(len(plan.blocks), 'block')}",
        f"  block   frames         kept{'' if prediction is None else '   seconds   dense'}",
    ]
    rows = (
        list(zip(plan.blocks, prediction.blocks, prediction.dense))
        if prediction
        else [(block, None, None) for block in plan.blocks]
    )
    half = SHOWN_BLOCKS // 2
    for place, (block, seconds, dense) in enumerate(rows):
        if len(rows) > SHOWN_BLOCKS and half <= place < len(rows) - half:
            if place == half:
                lines.append(f"  ... {len(rows) - 2 * half} more, all of them with --json")
            continue
        lines.append(_block_line(block, seconds, dense))
    after = plan.kept_after_first
    lines.append(
        f"kept {plan.kept_fraction:.1%} of the tokens"
        + ("" if after is None else f", {after:.1%} after the first block of each scene")
    )
    if len(plan.blocks) == 1:
        lines.append(
            "the clip is not longer than one block, which is computed in full: there is nothing to prune"
            if plan.blocks[0].kept_fraction == 1
            else "the clip is not longer than one block"
        )
    if plan.filled_frames:
        lines.append(
            f"copies of the last frame fill up the last block: {plan.filled_frames} of its "
            f"{plan.filled_frames + plan.blocks[-1].pixel_frames[1] - plan.blocks[-1].pixel_frames[0]} frames"
        )
    return lines


def _block_line(block: BlockPlan, seconds: BlockSeconds | None, dense: BlockSeconds | None) -> str:
    start, stop = block.pixel_frames
    line = f"  {block.index:5d}   {f'{start}..{stop - 1}':12s} {block.kept_fraction:6.1%}"
    if seconds is not None and dense is not None:
        line += f"   {seconds.total:7.3f}  {dense.total:6.3f}"
    return line + ("   scene cut" if block.cut else "")


def prediction_lines(plan: ClipPlan, prediction: Prediction, predictor: Predictor) -> list[str]:
    """Seconds of the stages, whole clip, memory, and where the figures come from.

    Args:
        plan: of the clip.
        prediction: of the same blocks.
        predictor: what made it.
    """
    kinds = {
        "first block of a scene": [not block.has_history for block in plan.blocks],
        "growing context": [block.has_history and not block.steady for block in plan.blocks],
        "whole context": [block.has_history and block.steady for block in plan.blocks],
    }
    steps = counted(predictor.steps, "denoise step")
    lines = [f"predicted seconds of a block, {steps}: pruned (dense)"]
    for kind, chosen in kinds.items():
        pruned = [block for block, wanted in zip(prediction.blocks, chosen) if wanted]
        dense = [block for block, wanted in zip(prediction.dense, chosen) if wanted]
        if pruned:
            lines.append(
                f"  {kind:24s} denoise {_mean(pruned, 'denoise', dense)}   clean pass {_mean(pruned, 'clean', dense)}"
            )
    last = prediction.blocks[-1]
    lines.append(
        f"  each block               encode {last.encode:.3f}   mask {last.mask:.3f}   decode {last.decode:.3f}"
    )
    lines += [
        f"whole clip: {prediction.seconds:.1f} s, {prediction.frames_per_second:.2f} frames/s; dense "
        f"{prediction.dense_seconds:.1f} s, {prediction.dense_frames_per_second:.2f} frames/s",
        f"speed-up: {prediction.speedup:.2f}x of denoising and clean pass, {prediction.whole_speedup:.2f}x of all",
        f"peak memory: {prediction.peak_bytes / GIB:.2f} GiB",
        f"not counted: loading the model, about {predictor.calibration.load:.1f} s; reading and writing the files, "
        "which run in threads of their own",
        *calibration_lines(predictor.calibration, predictor)[:1],
        *busy_lines(predictor.calibration),
    ]
    return lines


def _mean(pruned: Sequence[BlockSeconds], name: str, dense: Sequence[BlockSeconds]) -> str:
    found, every = (mean(getattr(block, name) for block in blocks) for blocks in (pruned, dense))
    return f"{found:.3f} ({every:.3f})"


def calibration_lines(calibration: Calibration, predictor: Predictor) -> list[str]:
    """When and where a calibration was made, and how well its fits hold.

    Args:
        calibration: that is shown.
        predictor: with its fits.
    """
    machine = calibration.machine
    return [
        f"calibration of {machine['date']}: {machine['device']}, {counted(machine['threads'], 'thread')}, torch "
        f"{machine['torch']}",
        *(
            f"  {name:13s} {fit.form}; leave-one-out error "
            + ", ".join(
                f"{form} {sum(errors) / len(errors):.1%} (at most {max(errors):.1%})"
                for form, errors in fit.errors.items()
                if errors
            )
            for name, fit in predictor.fits.items()
        ),
    ]


def check_lines(check: Check) -> list[str]:
    """Predicted versus measured.

    Args:
        check: of one clip.
    """
    kept = "as planned in every block" if check.same_tokens else "NOT as planned"
    return [
        f"check: predicted {check.prediction.seconds:.2f} s, measured {check.measured.seconds:.2f} s: error "
        f"{check.error:+.1%}; denoising and clean pass {check.transformer_error:+.1%}",
        f"  a block with every token takes {check.slower_now:.2f} times as long as at the calibration; error at this "
        f"speed {check.error_at_this_speed:+.1%}",
        f"  kept tokens {kept}; peak memory predicted {check.prediction.peak_bytes / GIB:.3f} GiB, measured "
        f"{check.measured.peak_bytes / GIB:.3f} GiB: {check.memory_error:+.1%}",
    ]


def target_lines(
    asked: float, found: Target, plan: ClipPlan | None, now: Prediction, replaced: Sequence[str]
) -> list[str]:
    """The settings with which a number of frames per second is reached, or that none does.

    Args:
        asked: frames per second.
        found: by the search.
        plan: with the settings that were found; None: nothing is pruned.
        now: prediction with the config as it is.
        replaced: settings that `prune.keep` replaces.
    """
    if found.reached and found.keep is None:
        return [
            f"{asked:g} frames/s: nothing needs to be pruned, with every token computed it is "
            f"{found.frames_per_second:.2f}: --dense"
        ]
    kept = "" if plan is None else f", which keeps {plan.kept_fraction:.1%} of the tokens"
    if not found.reached:
        best = "--dense" if found.best_keep is None else f"--set prune.keep={found.best_keep:g}{kept}"
        return [
            f"{asked:g} frames/s cannot be reached by pruning; the best is {found.frames_per_second:.2f}: {best}"
        ]
    lines = [
        f"{asked:g} frames/s: --set prune.keep={found.keep:g}{kept}: {found.frames_per_second:.2f} frames/s"
    ]
    if replaced:
        lines.append(f"  without {' and '.join(replaced)}, which it replaces")
    if now.frames_per_second >= asked:
        lines.append(f"  the config as it is reaches it as well: {now.frames_per_second:.2f} frames/s")
    return lines


def measured_lines(calibration: Calibration) -> list[str]:
    """What a calibration measured.

    Args:
        calibration: that is shown.
    """
    points = {name: points_of(calibration.samples, stage) for name, stage in STAGES.items()}
    lines = [
        str(calibration.key),
        "seconds of a block by kept tokens and rows of context: denoise step, clean pass, rest",
    ]
    for step, clean, rest in zip(*points.values(), strict=True):
        lines.append(
            f"  {step.kept:7.0f} kept   {step.rows:7.0f} rows   {step.seconds:.4f}   {clean.seconds:.4f}   "
            f"{rest.seconds:.4f}"
        )
    peaks = ", ".join(
        f"{point.peak_bytes / GIB:.3f} GiB with {point.kept} kept tokens" for point in calibration.memory
    )
    decode = sorted(sample.decode for sample in calibration.samples if sample.decode)
    return [
        *lines,
        f"a block: encode {calibration.encode:.3f}, mask {calibration.mask:.4f}, decode {median(decode):.3f}, nothing "
        f"kept {calibration.nothing_kept:.4f}; first block: encode {calibration.encode_first:.3f}, decode "
        f"{calibration.decode_first:.3f}, warm-up {calibration.warm_up:.3f}; loading {calibration.load:.1f}",
        f"peak memory: {peaks}",
        *busy_lines(calibration),
    ]


def busy_lines(calibration: Calibration) -> list[str]:
    """A warning where repetitions of one block differ too much for a good prediction; empty: they do not."""
    spread = calibration.spread
    if spread <= MOST_SPREAD:
        return []
    return [
        f"  repetitions of one pass differ by {spread:.0%} in the median: the machine was busy; calibrate again when "
        "it is quiet"
    ]
