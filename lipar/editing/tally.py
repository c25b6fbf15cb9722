"""The numbers of an edit: collected block by block, and summed up in its report."""

import attrs

from lipar.editing.block_numbers import BlockNumbers
from lipar.editing.whole_time import WholeTime
from lipar.events import EditReport
from lipar.job import RestoredBlock
from lipar.layout import TokenLayout
from lipar.speedup import Speedup
from lipar.watch.stages import PROBE


@attrs.define
class EditTally:
    """Sums up the blocks of an edit.

    Args:
        first_steady: index in its scene of the first block with its full context.
    """

    first_steady: int = 0
    blocks: list[BlockNumbers] = attrs.field(factory=list)
    cuts: list[int] = attrs.field(factory=list)
    """Pixel frames at which blocks start that a scene cut made whole."""
    prompts: list[tuple[int, str]] = attrs.field(factory=list)
    """Prompts after the first, with the pixel frame at which they took effect."""
    inside: int | None = None
    """Tokens of all frames that a mask lets change; None: there is no mask."""
    written: int = 0
    """Pixel frames."""

    def add(self, block: RestoredBlock, spans: list[tuple[int, int]], written: int, cut: int | None) -> None:
        """Add a block that was written.

        Args:
            block: after restoring.
            spans: first pixel frame and the one after the last, for each latent frame.
            written: how many of the pixel frames the source has.
            cut: the pixel frame of a scene cut; None: the block does not start a scene.
        """
        layout = block.layout
        kept, tokens = shown_tokens(layout, spans, written)
        self.blocks.append(
            BlockNumbers(
                kept=kept,
                tokens=tokens,
                has_history=layout.has_history,
                kept_fraction=layout.kept_fraction,
                seconds=block.seconds,
                dense_seconds=block.dense_seconds,
            )
        )
        if block.may_change is not None:
            self.inside = (self.inside or 0) + int(block.may_change[: shown_frames(spans, written)].sum())
        self.written += written
        if cut is not None:
            self.cuts.append(cut)
        if block.new_prompt is not None and len(self.blocks) > 1:
            self.prompts.append((spans[0][0], block.new_prompt))

    def report(
        self,
        *,
        source_size: tuple[int, int],
        processed_size: tuple[int, int],
        stage_seconds: dict[str, float],
        seconds: float,
        engine: str,
    ) -> EditReport:
        """The report of the whole edit.

        Args:
            source_size: width and height of the source in pixels.
            processed_size: width and height at which the model worked.
            stage_seconds: seconds of each stage, the dense probes and waiting among them.
            seconds: wall time of the edit, dense probes included.
            engine: how passes were run, in a line.
        """
        probed = [(block, block.dense_seconds) for block in self.blocks if block.dense_seconds is not None]
        speedup = Speedup(tuple((dense, block.seconds) for block, dense in probed))
        whole = WholeTime(wall=seconds, stages=stage_seconds)
        return EditReport(
            frames=self.written,
            blocks=len(self.blocks),
            source_size=source_size,
            processed_size=processed_size,
            kept_fraction=_kept_fraction(self.blocks) or 0.0,
            steady_kept_fraction=_kept_fraction([block for block in self.blocks if block.has_history]),
            seconds=whole.pruned,
            dense_seconds=whole.dense(self.blocks, self.first_steady) if speedup.figure else None,
            stage_seconds={stage: time for stage, time in stage_seconds.items() if stage != PROBE},
            probe_seconds=stage_seconds.get(PROBE, 0.0),
            speedup=speedup.figure,
            speedup_range=speedup.range,
            speedup_verdict=speedup.verdict,
            probed_blocks=len(probed),
            probed_kept_fraction=(
                sum(block.kept_fraction for block, _ in probed) / len(probed) if probed else None
            ),
            engine=engine,
            scene_cuts=tuple(self.cuts),
            prompts=tuple(self.prompts),
            inside_fraction=(
                None
                if self.inside is None
                else self.inside / max(sum(block.tokens for block in self.blocks), 1)
            ),
        )


def shown_frames(spans: list[tuple[int, int]], written: int) -> int:
    """How many latent frames of a block are shown, of those that are no copies.

    Args:
        spans: first pixel frame and the one after the last, for each latent frame.
        written: how many of the pixel frames the source has.
    """
    return sum(start - spans[0][0] < written for start, _ in spans)


def shown_tokens(layout: TokenLayout, spans: list[tuple[int, int]], written: int) -> tuple[int, int]:
    """Kept tokens and all tokens of the latent frames of a block that are shown: not of copies that fill it up.

    Args:
        layout: of the block.
        spans: first pixel frame and the one after the last, for each latent frame.
        written: how many of the pixel frames the source has.
    """
    shown = shown_frames(spans, written)
    return sum(layout.kept_per_frame[:shown]), shown * layout.tokens_per_frame


def _kept_fraction(blocks: list[BlockNumbers]) -> float | None:
    tokens = sum(block.tokens for block in blocks)
    return sum(block.kept for block in blocks) / tokens if tokens else None
