"""One clip of an ablation, encoded and with its masks, and the runs of rows over it."""

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import attrs
import torch
from torch import Tensor

from lipar.config import Config
from lipar.masks.measure import Measure, measure_of
from lipar.masks.source import SourceFormat, SourcePiece, pixel_frames_in, source_blocks
from lipar.messages import counted
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_parts
from lipar.protocols import Autoencoder, Model
from lipar.sampling.gaussian import SeededDraw
from lipar.scheduler import Scheduler
from lipar.types import Features, KeepMask, Latents
from lipar_lab.ablation.ceiling import FreshNoise
from lipar_lab.ablation.clips import AblationClip
from lipar_lab.ablation.figures import Baseline
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.rows import Row
from lipar_lab.ablation.shared_masks import (
    MaskMaker,
    SharedMasks,
    enlarged,
    mask_by,
    random_like,
)
from lipar_lab.ablation.tensor_bytes import tensor_bytes

_CEILING_SEED = 0x5EED


@attrs.frozen(eq=False, kw_only=True)
class Run:
    """The result of one run; latents and pixels are those after the first block."""

    latents: Latents
    pixels: Tensor
    """`pixel_frames 3 height width` in [0, 1]."""
    whole: Tensor
    """The pixels of all blocks."""
    keep_mask: KeepMask
    """The tokens that were computed, of the whole clip, on the CPU."""
    noise_bytes: int
    """Largest size of the tensors that the noise source stores."""


@attrs.frozen(eq=False, kw_only=True)
class Denoised:
    """The result of one run before it is decoded."""

    latents: Latents
    """Of all blocks."""
    keep_mask: KeepMask
    """The tokens that were computed, on the CPU."""
    noise_bytes: int
    """Largest size of the tensors that the noise source stored."""


@contextmanager
def plugged(host: PluginHost, *plugins: object) -> Iterator[None]:
    """Register plugins for the duration of a run."""
    with ExitStack() as stack:
        for plugin in plugins:
            host.manager.register(plugin)
            stack.callback(host.manager.unregister, plugin)
        yield


@attrs.frozen(eq=False, kw_only=True)
class PreparedClip:
    """One clip for one loaded model: encoded, with its masks.

    Pixels are on the model's device; source latents and masks are on the CPU, so that masks do not depend on the
    device.
    """

    plan: Plan
    loaded: LoadedModel
    index: int
    """Number of the clip in the plan."""
    clip: AblationClip
    source: Latents
    _makers: dict[tuple[str, ...], MaskMaker] = attrs.field(factory=dict, init=False)
    """By the settings of the axes."""

    @classmethod
    def make(cls, plan: Plan, loaded: LoadedModel, index: int) -> "PreparedClip":
        """Read the clip and encode it.

        Args:
            plan: what the ablation runs.
            loaded: the model to encode with.
            index: number of the clip in the plan.

        Raises:
            ValueError: the clip's frames do not fill blocks.
        """
        clip, model, autoencoder = loaded.clip(plan, index), loaded.model, loaded.autoencoder
        _check_frames(clip, model, autoencoder)
        with torch.no_grad():
            encoded = autoencoder.encoder()(clip.pixels[None].to(model.device, model.dtype))
        return cls(plan=plan, loaded=loaded, index=index, clip=clip, source=encoded.float().cpu())

    def masks(self, row: Row) -> MaskMaker:
        """The shared masks at the row's values of the axes."""
        if row.of_axes not in self._makers:
            self._makers[row.of_axes] = self._maker(self.plan.mask_configs[row.of_axes])
        return self._makers[row.of_axes]

    def _maker(self, config: Config) -> MaskMaker:
        model, autoencoder = self.loaded.model, self.loaded.autoencoder
        parts = make_parts(self.loaded.host, config)
        measure = measure_of(
            parts.criterion,
            SourceFormat(patch_size=model.patch_size, autoencoder=autoencoder),
            tau_short=config.prune.tau_short,
            tau_long=config.prune.tau_long,
        )
        mask_at = functools.partial(
            mask_by,
            features=_features(self.piece, measure, model, autoencoder),
            config=config,
            measure=measure,
            parts=parts,
            block_frames=model.block_frames,
        )
        return MaskMaker(mask_at)

    @property
    def piece(self) -> SourcePiece:
        """The source and its pixel frames, which a criterion may read even where masks are shared."""
        return _piece(self.source, self.clip)

    def mask(self, row: Row, kept: float) -> KeepMask | None:
        """The mask by which a row is run at a kept fraction; None: a dense row, or one that makes its own."""
        if row.how in ("dense", "other-seed", "own-mask"):
            return None
        shared = self.masks(row).at(kept).keep_mask
        if row.how == "every-token":
            return torch.ones_like(shared)
        return random_like(shared, self.index) if row.how == "random" else shared

    def plugins(self, row: Row, config: Config, keep_mask: KeepMask | None) -> list[object]:
        """The plugins with which the scheduler runs the row."""
        plugins: list[object] = [] if keep_mask is None else [SharedMasks(keep_mask)]
        if row.how == "ceiling":
            plugins.append(FreshNoise(draw=SeededDraw(config.seed + _CEILING_SEED)))
        if row.how == "ceiling-source":
            plugins.append(FreshNoise(draw=SeededDraw(config.seed), from_source=True))
        return plugins

    def run(self, row: Row, cell: Cell) -> Run:
        """Run a row over the clip and decode it; the model must have its prompt already."""
        denoised = self.denoise(row, cell)
        with torch.no_grad():
            pixels = self.loaded.autoencoder.decoder()(denoised.latents)[0].float()
        return Run(
            latents=denoised.latents[:, self.loaded.model.block_frames :],
            pixels=self.steady(pixels),
            whole=pixels,
            keep_mask=denoised.keep_mask,
            noise_bytes=denoised.noise_bytes,
        )

    @contextmanager
    def scheduled(self, row: Row, cell: Cell, *extra: object) -> Iterator[Scheduler]:
        """A scheduler that is ready to run a row, with the row's plugins registered.

        Args:
            row: the row to run.
            cell: kept fraction, strength and seed.
            *extra: more plugins, which observe the run.
        """
        config, keep_mask = self.plan.config(row, cell), self.mask(row, cell.kept)
        dense = row.how in ("dense", "other-seed")
        with plugged(self.loaded.host, *self.plugins(row, config, keep_mask), *extra):
            yield Scheduler(self.loaded.model, config, host=self.loaded.host, dense=dense)

    def denoise(self, row: Row, cell: Cell, *extra: object) -> Denoised:
        """Run a row over the clip without decoding; arguments as for `scheduled`."""
        blocks, masks, noise_bytes = [], [], 0
        with self.scheduled(row, cell, *extra) as scheduler:
            for block in scheduler.run([self.piece]):
                blocks.append(block.latents)
                masks.append(block.layout.keep_mask.cpu())
                noise_bytes = max(noise_bytes, tensor_bytes(scheduler.job.parts.noise))
        return Denoised(latents=torch.cat(blocks, dim=1), keep_mask=torch.cat(masks), noise_bytes=noise_bytes)

    def steady(self, pixels: Tensor) -> Tensor:
        """The pixel frames after the first block."""
        return pixels[pixel_frames_in(self.loaded.autoencoder, 0, self.loaded.model.block_frames) :]

    def baseline(self, dense: Run) -> Baseline:
        """What rows are compared with, from the dense run."""
        device = dense.pixels.device
        target = self.clip.target
        return Baseline.of(
            dense.latents,
            dense.pixels,
            self.steady(self.clip.pixels).to(device),
            None if target is None else self.steady(target).to(device),
        )

    def masks_of(self, keep_mask: KeepMask, device: torch.device) -> tuple[Tensor, Tensor]:
        """The mask after the first block at the resolution of latents, `t h w`, and of pixels."""
        model, autoencoder = self.loaded.model, self.loaded.autoencoder
        steady = keep_mask[model.block_frames :].to(device)
        of_latents = enlarged(steady, model.patch_size)
        of_pixels = enlarged(steady, model.patch_size * autoencoder.spatial_factor)
        return of_latents, of_pixels.repeat_interleave(autoencoder.next_pixel_frames, 0)


def _piece(source: Latents, clip: AblationClip) -> SourcePiece:
    return SourcePiece(latents=source, pixels=clip.pixels[None].cpu())


def _features(source: SourcePiece, measure: Measure, model: Model, autoencoder: Autoencoder) -> Features:
    """What the criterion reads of a clip, block by block; a scene starts with the first block only."""
    blocks = source_blocks([source], model.block_frames, pixels_of=autoencoder)
    return torch.cat(
        [measure.read(attrs.evolve(block, cut=0 if block.first_frame == 0 else None)) for block in blocks]
    )


def _check_frames(clip: AblationClip, model: Model, autoencoder: Autoencoder) -> None:
    """Refuse a clip that does not fill two or more blocks."""
    frames, first, following = (
        clip.pixels.shape[0],
        autoencoder.first_pixel_frames,
        autoencoder.next_pixel_frames,
    )
    latent_frames = 1 + (frames - first) // following
    if (
        frames >= first
        and (frames - first) % following == 0
        and latent_frames % model.block_frames == 0
        and latent_frames >= 2 * model.block_frames
    ):
        return
    per_block = following * model.block_frames
    least = pixel_frames_in(autoencoder, 0, 2 * model.block_frames)
    fitting = least + max(frames - least, 0) // per_block * per_block
    raise ValueError(
        f"{clip.name} has {counted(frames, 'frame')}; the model takes {first}, and {following} more for every further "
        f"latent frame, in blocks of {model.block_frames} latent frames, and at least two blocks are needed; set "
        f"--frames {fitting}"
    )
