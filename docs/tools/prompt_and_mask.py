"""The figures of docs/how-to/prompts-and-masks.md, with the bundled model on a CPU.

    python docs/tools/prompt_and_mask.py prompt tea-pour.mp4 dog.mp4
    python docs/tools/prompt_and_mask.py mask bunny.mp4

`prompt`: PSNR of each block from a change of the prompt on, to a dense run that had the new prompt from the start.
`mask`: an ellipse of a fifth of the picture may change; PSNR inside it to the dense run without a mask.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import attrs
import click
import torch
from torch import Tensor

import lipar
from lipar.job import RestoredBlock
from lipar.masks.source import SourceFormat, SourcePiece
from lipar.metrics.fidelity import psnr
from lipar.model import Model
from lipar.video.mask_picture import MaskPicture
from lipar_lab.compare.coding import encode_clip

PROMPTS = ("night", "snow"), ("sepia", "neon")
CHANGES_AT = 2  # the block that begins with the new prompt
FILES = click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))


@click.group()
def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)


def pixels(model: Model, blocks: Sequence[RestoredBlock]) -> list[Tensor]:
    """Each block decoded, `t 3 h w` in [0, 1]."""
    decode = model.autoencoder.decoder()
    with torch.no_grad():
        return [decode(block.latents)[0] for block in blocks]


@main.command()
@FILES
def prompt(clips: tuple[Path, ...]) -> None:
    """Measure a change of the prompt, in the mean of the clips and two pairs of prompts."""
    model = lipar.load_model("tiny", device="cpu")
    begins = CHANGES_AT * model.block_frames
    found: dict[tuple[str, bool], list[list[float]]] = {}
    for clip in clips:
        source = encode_clip(model, clip)
        for before, after in PROMPTS:

            def run(prompt_at, new_prompt: str, *, dense: bool, source=source) -> list[Tensor]:
                config = lipar.build_config(settings=[f"cache.new_prompt={new_prompt}"])
                scheduler = lipar.Scheduler(model, config, dense=dense)
                return pixels(model, list(scheduler.run(source, prompts=prompt_at)))

            reference = run(lambda frame, after=after: after, "keep", dense=True)
            for new_prompt in ("keep", "forget"):
                for dense in (False, True):

                    def prompt_at(frame: int, both=(before, after)) -> str:
                        return both[frame >= begins]

                    blocks = run(prompt_at, new_prompt, dense=dense)
                    near = [psnr(a, b) for a, b in zip(blocks, reference)]
                    found.setdefault((new_prompt, dense), []).append(near[CHANGES_AT : CHANGES_AT + 3])
    click.echo("| frames before the change | pruned | dense |\n| --- | --- | --- |")
    for new_prompt in ("keep", "forget"):
        cells = [
            ", ".join(f"{fmean(block):.1f}" for block in zip(*found[new_prompt, dense]))
            for dense in (False, True)
        ]
        click.echo(f"| `{new_prompt}` | {' | '.join(cells)} |")


def masked(model: Model, source: list[SourcePiece], inside: Tensor) -> Iterator[SourcePiece]:
    """The pieces with what may change, as `lipar edit --mask` finds it."""
    for piece in source:
        frames, rows, cols = SourceFormat(patch_size=model.patch_size).grid(piece.latents)
        yield attrs.evolve(piece, may_change=MaskPicture(inside).tokens(rows, cols).expand(frames, -1, -1))


@main.command()
@FILES
def mask(clips: tuple[Path, ...]) -> None:
    """Measure an edit inside an ellipse."""
    model = lipar.load_model("tiny", device="cpu")
    model.set_prompt("watercolour")
    click.echo("| clip | run | tokens computed after the first block | CPU time | PSNR inside the mask |")
    click.echo("| --- | --- | --- | --- | --- |")
    for clip in clips:
        source = encode_clip(model, clip)
        height, width = source[0].pixels.shape[-2:]
        row, column = torch.meshgrid(
            torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
        )
        inside = row**2 + column**2 < 4 * 0.2 / torch.pi
        reference = None
        for name, pieces, dense in (
            ("dense", source, True),
            ("pruned", source, False),
            ("pruned, mask", list(masked(model, source, inside)), False),
        ):
            begin = time.process_time()
            blocks = list(lipar.Scheduler(model, dense=dense).run(pieces))
            seconds = time.process_time() - begin
            found = torch.cat(pixels(model, blocks))
            reference = found if reference is None else reference
            kept = fmean(block.layout.kept_fraction for block in blocks[1:])
            near = "equal" if dense else f"{psnr(found, reference, where=inside):.1f} dB"
            click.echo(f"| {clip.stem} | {name} | {kept:.0%} | {seconds:.2f} s | {near} |")


if __name__ == "__main__":
    main()
