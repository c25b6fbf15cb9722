"""The cells of one clip: its masks, its dense run, and every row measured against it."""

import functools
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor

from lipar.config import Config
from lipar.masks.measure import measure_of
from lipar.masks.source import SourceFormat, SourcePiece, pixel_frames_in, source_blocks
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_parts
from lipar.sampling.gaussian import seeded_noise
from lipar.scheduler import Scheduler
from lipar.types import KeepMask, Latents
from lipar.wording import counted
from lipar_lab.ablation.ceiling import FreshNoise
from lipar_lab.ablation.clips import AblationClip
from lipar_lab.ablation.figures import Yardstick, figures
from lipar_lab.ablation.masks import RatedMask, SharedMasks, enlarged, mask_at_rate, mask_by, random_like
from lipar_lab.ablation.plan import Bench, Cell, Plan
from lipar_lab.ablation.rows import Row

_CEILING_SEED = 0x5EED


@attrs.frozen(eq=False, kw_only=True)
class Run:
    """What one run gave after the first block."""

    latents: Latents
    pixels: Tensor
    noise_bytes: int


@contextmanager
def plugged(host: PluginHost, *plugins: object) -> Iterator[None]:
    """Plugins that stay for a run."""
    with ExitStack() as stack:
        for plugin in plugins:
            host.manager.register(plugin)
            stack.callback(host.manager.unregister, plugin)
        yield


def held_bytes(part: object) -> int:
    """Bytes of the tensors that a part holds, each storage counted once."""
    storages: dict[int, int] = {}
    seen: set[int] = set()
    waiting: list[Any] = [part]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif attrs.has(type(value)):
            waiting += [getattr(value, field.name) for field in attrs.fields(type(value))]
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            waiting += vars(value).values()
    return sum(storages.values())


def _piece(source: Latents, clip: AblationClip) -> SourcePiece:
    return SourcePiece(latents=source, pixels=clip.pixels[None].cpu())


@attrs.frozen(eq=False, kw_only=True)
class ClipBench:
    """One clip on one bench: encoded, with its masks.

    Pixels lie on the model's device; source latents and masks on the CPU, so that masks agree between devices.
    """

    plan: Plan
    bench: Bench
    index: int
    clip: AblationClip
    source: Latents
    masks: dict[float, RatedMask]
    natural_kept: float
    """At the thresholds of the base config."""

    @classmethod
    def make(cls, plan: Plan, bench: Bench, index: int, kept: Collection[float]) -> "ClipBench":
        """Read the clip, encode it, and find its masks.

        Raises:
            ValueError: its frames do not fill blocks.
        """
        clip = bench.clip(plan, index)
        model, coder = bench.model, bench.coder
        first, rest = coder.first_pixel_frames, clip.pixels.shape[0] - coder.first_pixel_frames
        latent_frames = 1 + rest // coder.next_pixel_frames
        if (
            rest < 0
            or rest % coder.next_pixel_frames
            or latent_frames % model.block_frames
            or latent_frames < 2 * model.block_frames
        ):
            per_block = coder.next_pixel_frames * model.block_frames
            least = pixel_frames_in(coder, 0, 2 * model.block_frames)
            fitting = least + max(clip.pixels.shape[0] - least, 0) // per_block * per_block
            raise ValueError(
                f"{clip.name} has {counted(clip.pixels.shape[0], 'frame')}; the model takes {first}, and "
                f"{coder.next_pixel_frames} more for every further latent frame, in blocks of {model.block_frames} "
                f"latent frames, and at least two blocks are needed; set --frames {fitting}"
            )
        with torch.no_grad():
            encoded = coder.encoder()(clip.pixels[None].to(model.device, model.dtype))
        source = encoded.float().cpu()
        prune, parts = plan.base.prune, make_parts(bench.host, plan.base)
        measure = measure_of(
            parts.criterion,
            SourceFormat(patch_size=model.patch_size, coder=coder),
            tau_short=prune.tau_short,
            tau_long=prune.tau_long,
        )
        whole = _piece(source, clip)
        features = torch.cat(
            [
                measure.read(attrs.evolve(block, cut=0 if block.first_frame == 0 else None))
                for block in source_blocks([whole], model.block_frames, pixels_of=coder)
            ]
        )
        of_clip = functools.partial(
            mask_by,
            features=features,
            config=plan.base,
            measure=measure,
            parts=parts,
            block_frames=model.block_frames,
        )
        masks = {wanted: mask_at_rate(wanted, of_clip) for wanted in kept}
        natural = of_clip(1.0)
        return cls(
            plan=plan,
            bench=bench,
            index=index,
            clip=clip,
            source=source,
            masks=masks,
            natural_kept=natural.kept,
        )

    @property
    def piece(self) -> SourcePiece:
        """The source with its pixel frames, which a criterion may look at beside masks that are shared."""
        return _piece(self.source, self.clip)

    def mask(self, row: Row, kept: float) -> KeepMask | None:
        """What a row keeps; None: everything."""
        shared = self.masks[kept].keep_mask
        if row.how in ("dense", "other-seed"):
            return None
        return random_like(shared, self.index) if row.how == "random" else shared

    def plugins(self, row: Row, config: Config, keep_mask: KeepMask | None) -> list[object]:
        """What makes the scheduler run the row."""
        plugins: list[object] = [] if keep_mask is None else [SharedMasks(keep_mask)]
        if row.how == "ceiling":
            plugins.append(FreshNoise(draw=seeded_noise(config.seed + _CEILING_SEED)))
        if row.how == "ceiling-source":
            plugins.append(FreshNoise(draw=seeded_noise(config.seed), from_source=True))
        return plugins

    def run(self, row: Row, strength: float, keep_mask: KeepMask | None) -> Run:
        """Run a row over the clip and decode it; the prompt must be set."""
        latents, noise_bytes = self.denoise(row, strength, keep_mask)
        with torch.no_grad():
            pixels = self.bench.coder.decoder()(latents)[0].float()
        steady = latents[:, self.bench.model.block_frames :]
        return Run(latents=steady, pixels=self.steady(pixels), noise_bytes=noise_bytes)

    def denoise(
        self, row: Row, strength: float, keep_mask: KeepMask | None, *extra: object
    ) -> tuple[Latents, int]:
        """All latents of a row, and the most bytes that its noise source held; `extra` plugins watch."""
        config, model = self.plan.config(row, strength), self.bench.model
        with plugged(self.bench.host, *self.plugins(row, config, keep_mask), *extra):
            scheduler = Scheduler(model, config, host=self.bench.host, dense=keep_mask is None)
            blocks, noise_bytes = [], 0
            for block in scheduler.run([self.piece]):
                blocks.append(block.latents)
                noise_bytes = max(noise_bytes, held_bytes(scheduler.job.parts.noise))
        return torch.cat(blocks, dim=1), noise_bytes

    def steady(self, pixels: Tensor) -> Tensor:
        """Pixel frames after the first block."""
        return pixels[pixel_frames_in(self.bench.coder, 0, self.bench.model.block_frames) :]

    def yardstick(self, dense: Run) -> Yardstick:
        """What rows are measured against, from the dense run."""
        device = dense.pixels.device
        target = self.clip.target
        return Yardstick.of(
            dense.latents,
            dense.pixels,
            self.steady(self.clip.pixels).to(device),
            None if target is None else self.steady(target).to(device),
        )

    def masks_of(self, keep_mask: KeepMask, device: torch.device) -> tuple[Tensor, Tensor]:
        """The mask after the first block, of latents and of pixels."""
        model, coder = self.bench.model, self.bench.coder
        steady = keep_mask[model.block_frames :].to(device)
        of_latents = enlarged(steady, model.patch_size)
        of_pixels = enlarged(steady, model.patch_size * coder.spatial_factor)
        return of_latents, of_pixels.repeat_interleave(coder.next_pixel_frames, 0)


def clip_cells(
    plan: Plan, bench: Bench, index: int, strength: float, wanted: Collection[Cell]
) -> Iterator[dict[str, Any]]:
    """Measure the wanted cells of one clip at one strength; each as soon as it is done."""
    kept = sorted({cell.kept for cell in wanted})
    work = ClipBench.make(plan, bench, index, kept)
    bench.model.set_prompt(work.clip.prompt)
    unpruned: dict[str, Run] = {}

    def whole(row: Row) -> Run:
        if row.name not in unpruned:
            unpruned[row.name] = work.run(row, strength, None)
        return unpruned[row.name]

    rows = {row.name: row for row in plan.rows}
    dense = whole(rows["dense"])
    yardstick = work.yardstick(dense)
    for cell in plan.cells():
        if cell not in wanted:
            continue
        row = rows[cell.row]
        keep_mask = work.mask(row, cell.kept)
        run = whole(row) if keep_mask is None else work.run(row, strength, keep_mask)
        shown = work.masks[cell.kept].keep_mask if keep_mask is None else keep_mask
        of_latents, of_pixels = work.masks_of(shown, run.latents.device)
        yield {
            "what": "cell",
            **attrs.asdict(cell),
            "settings": list(row.settings),
            "name": work.clip.name,
            "kind": work.clip.kind,
            "prompt": work.clip.prompt,
            "kept_real": work.masks[cell.kept].kept,
            "tau_factor": work.masks[cell.kept].factor,
            "kept_at_own_thresholds": work.natural_kept,
            "noise_bytes": run.noise_bytes if row.how in ("strategy", "random") else 0,
            **figures(run.latents, run.pixels, yardstick, of_latents, of_pixels),
        }
