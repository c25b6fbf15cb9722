"""Criteria that look at pixel frames or a given mask, and combinations: what they read, and how they stream."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar import Scheduler, build_config, load_plugins
from lipar.config import ConfigError
from lipar.masks.combination import Thresholded
from lipar.masks.measure import measure_of
from lipar.masks.source import SourceBlock, SourceFormat, SourcePiece, source_blocks
from lipar.plugin.parts import make_parts
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import splits
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_plugins.criteria import L1, L2, Cosine, RelativeL1
from lipar_plugins.criteria_combined import IntersectionCriterion, UnionCriterion
from lipar_plugins.criteria_pixels import MaskCriterion, PixelCriterion

HOST = load_plugins()


class WanLike(ToyAutoencoder):
    """Groups frames as Wan does: 1 + 4n."""

    first_pixel_frames = 1


TOY = SourceFormat(patch_size=2, autoencoder=ToyAutoencoder())
WAN = SourceFormat(patch_size=2, autoencoder=WanLike())


def pieces_of(pixels, sizes=None):
    """Pixel frames as the toy encodes them, cut into pieces of so many latent frames."""
    latents = ToyAutoencoder().encoder()(pixels)
    sizes = sizes or [latents.shape[1]]
    cut = zip(latents.split(sizes, dim=1), pixels.split([4 * size for size in sizes], dim=1))
    return [SourcePiece(latents=some, pixels=frames) for some, frames in cut]


def scene(latent_frames=9, noise=0.004):
    """A still picture of 64x64 pixels over which a square of 16 travels from the fourth latent frame on."""
    generator = torch.Generator().manual_seed(0)
    ground = 0.2 + 0.5 * torch.rand(3, 64, 64, generator=generator)
    pixels = ground.repeat(4 * latent_frames, 1, 1, 1)
    for t in range(12, 4 * latent_frames):
        left = min(t - 8, 48)
        pixels[t, :, 16:32, left : left + 16] = 0.95
    return (pixels + noise * torch.randn(pixels.shape, generator=generator)).clamp(0, 1)[None]


def kept(*settings_of, pieces):
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    running = Scheduler(model, build_config(settings=settings_of), host=HOST)
    return torch.cat([block.layout.keep_mask for block in running.run(iter(pieces))])


# --- pixels ---------------------------------------------------------------------------------------------------


def test_moving_pixels_are_kept_and_still_ones_are_not():
    keep = kept("criterion=pixel", "refiners=['threshold']", pieces=pieces_of(scene()))
    assert bool(keep[:3].all())
    assert bool(keep[3:, 2:4].any(dim=2).all())
    assert not bool(keep[3:, :2].any()) and not bool(keep[3:, 4:].any())


@settings(max_examples=10)
@given(sizes=splits(9))
def test_pixels_are_streamed_however_they_are_fed(sizes):
    whole = kept("criterion=pixel", pieces=pieces_of(scene()))
    assert torch.equal(kept("criterion=pixel", pieces=pieces_of(scene(), sizes)), whole)


def test_slow_light_is_followed_and_yet_seen_in_the_long_term():
    light = torch.linspace(0, 0.3, 60).reshape(1, -1, 1, 1, 1)
    pixels = 0.4 + light.expand(-1, -1, 3, 32, 32)
    keep = kept("criterion=pixel", "refiners=['threshold']", pieces=pieces_of(pixels.contiguous()))
    frames = keep.flatten(1).any(dim=1)[3:]
    assert 0 < int(frames.sum()) < frames.numel()


def test_a_cut_inside_a_block_begins_a_new_background():
    first, second = (torch.full((1, 24, 3, 16, 16), value) for value in (0.2, 0.8))
    pixels = torch.cat([first[:, :16], second[:, :20]], dim=1)
    read = PixelCriterion().reader(TOY)
    cuts = {0: 0, 3: 1}
    features = [
        read(
            SourceBlock(
                latents=b.latents, pixels=b.pixels, first_frame=b.first_frame, cut=cuts.get(b.first_frame)
            )
        )
        for b in source_blocks(pieces_of(pixels), 3, pixels_of=ToyAutoencoder())
    ]
    assert not bool(torch.cat(features)[..., 0].any())


def test_a_criterion_on_pixels_refuses_latents_alone():
    latents = [piece.latents for piece in pieces_of(scene())]
    with pytest.raises(ValueError, match=r"pixel frames, but latents came without them.*SourcePiece"):
        kept("criterion=pixel", pieces=latents)
    model = ToyModel()
    model.set_prompt("a dog")
    with pytest.raises(ConfigError, match="no autoencoder"):
        Scheduler(model, build_config(settings=["criterion=pixel"]), host=HOST)


def test_pixels_that_do_not_belong_to_their_latents_are_refused():
    piece = pieces_of(scene())[0]
    wrong = SourcePiece(latents=piece.latents, pixels=piece.pixels[:, :-1])
    with pytest.raises(ValueError, match="stand for 36 pixel frames, but 35 came"):
        kept("criterion=pixel", pieces=[wrong])


@given(sizes=splits(9), block_frames=st.sampled_from([1, 3]))
def test_each_block_has_the_pixel_frames_of_its_latents(sizes, block_frames):
    numbers = torch.arange(1 + 4 * 8).float().reshape(1, -1, 1, 1, 1).expand(-1, -1, 3, 8, 8)
    latents = torch.zeros(1, 9, 4, 4, 4)
    counts = [4 * size for size in sizes]
    counts[0] -= 3
    pieces = [
        SourcePiece(latents=some, pixels=frames)
        for some, frames in zip(latents.split(sizes, dim=1), numbers.split(counts, dim=1))
    ]
    for block in source_blocks(pieces, block_frames, pixels_of=WanLike()):
        spans = WAN.frame_spans(block.first_frame, block_frames)
        assert block.pixels[0, :, 0, 0, 0].tolist() == list(range(spans[0][0], spans[-1][1]))


# --- masks ----------------------------------------------------------------------------------------------------


def mask_file(tmp_path, array):
    path = tmp_path / "mask.npy"
    np.save(path, array)
    return path


def read_mask(path, source=TOY, latent_frames=6, **options):
    read = MaskCriterion(path=path, **options).reader(source)
    blocks = [
        SourceBlock(latents=torch.zeros(1, 3, 4, 8, 8), first_frame=first)
        for first in range(0, latent_frames, 3)
    ]
    return torch.cat([read(block) for block in blocks])[..., 0]


@pytest.mark.parametrize(("source", "latent_frame"), [(TOY, 1), (WAN, 2)], ids=["4n", "1 + 4n"])
def test_a_mask_covers_the_token_and_latent_frame_of_each_of_its_pixels(tmp_path, source, latent_frame):
    masks = np.zeros((24, 32, 32), dtype=bool)
    masks[7, 8, 31] = True  # pixel frame 7: latent frame 1 of 4n, and 2 of 1 + 4n
    covered = read_mask(mask_file(tmp_path, masks), source)
    assert covered.nonzero().tolist() == [[latent_frame, 1, 3]]


def test_a_mask_of_any_size_and_kind_is_laid_over_the_picture(tmp_path):
    for dtype, value in ((np.uint8, 255), (np.float32, 1.0), (bool, True)):
        masks = np.zeros((24, 10, 14), dtype=dtype)
        masks[:, :5] = value
        assert read_mask(mask_file(tmp_path, masks)).tolist() == [[[1.0] * 4] * 2 + [[0.0] * 4] * 2] * 6
    inverted = read_mask(mask_file(tmp_path, masks), invert=True)
    assert inverted.tolist() == [[[0.0] * 4] * 2 + [[1.0] * 4] * 2] * 6


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i4"])
@pytest.mark.parametrize("value", [1, 255])
def test_whole_numbers_cover_as_0_and_1_or_as_0_and_255(tmp_path, dtype, value):
    masks = np.zeros((24, 8, 8), dtype=dtype)
    masks[:, :4] = value
    assert read_mask(mask_file(tmp_path, masks)).tolist() == [[[1.0] * 4] * 2 + [[0.0] * 4] * 2] * 6


@pytest.mark.parametrize(
    ("value", "dtype"), [(np.nan, float), (255.0, float), (-1, int), (256, int), (np.inf, np.float16)]
)
def test_values_that_no_mask_has_are_refused(tmp_path, value, dtype):
    masks = np.zeros((24, 8, 8), dtype=dtype)
    masks[20, 3, 3] = value
    with pytest.raises(
        ValueError, match=r"mask.npy has values .*; they must be 0\.\.1, or whole numbers of 0\.\.255"
    ):
        read_mask(mask_file(tmp_path, masks))


def test_one_mask_holds_for_all_frames_and_a_short_one_is_refused(tmp_path):
    one = np.ones((8, 8), dtype=np.float32)
    assert bool(read_mask(mask_file(tmp_path, one)).all())
    # the source may end within the last block, which is then filled up
    assert bool(read_mask(mask_file(tmp_path, one[None].repeat(14, axis=0))).all())
    with pytest.raises(ValueError, match="12 frames, but the source goes on at frame 12"):
        read_mask(mask_file(tmp_path, one[None].repeat(12, axis=0)))


def test_a_mask_may_be_a_video(tmp_path):
    from fractions import Fraction

    from lipar.video import VideoWriter

    with VideoWriter(tmp_path / "m.mp4", width=32, height=32, time_base=Fraction(1, 10)) as writer:
        for index in range(24):
            frame = torch.zeros(3, 32, 32)
            frame[:, :, : 16 * (index >= 12)] = 1
            writer.write(frame, pts=index)
    covered = read_mask(tmp_path / "m.mp4")
    assert not bool(covered[:3].any())
    assert covered[3:].tolist() == [[[1.0, 1.0, 0.0, 0.0]] * 4] * 3


def test_the_mask_decides_and_what_it_leaves_is_computed_once_more(tmp_path):
    masks = np.zeros((36, 64, 64), dtype=bool)
    masks[16:20, :8, :8] = True  # latent frame 4
    path = mask_file(tmp_path, masks)
    options = ("refiners=['threshold']", f"criterion={{name='mask', path='{path}'}}")
    keep = kept(*options, pieces=[piece.latents for piece in pieces_of(scene())])
    assert bool(keep[:3].all())
    assert keep[3:].nonzero().tolist() == [[1, 0, 0], [2, 0, 0]]


@pytest.mark.parametrize("content", [None, b"", b"not an array", np.zeros((2, 2, 2, 2)), np.zeros((0, 4, 4))])
def test_what_is_no_mask_is_named(tmp_path, content):
    path = tmp_path / "mask.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(ValueError, match=r"mask.npy"):
        read_mask(path)


def test_an_archive_is_no_mask(tmp_path):
    with (tmp_path / "mask.npy").open("wb") as file:
        np.savez(file, mask=np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match=r"mask.npy is an archive"):
        read_mask(tmp_path / "mask.npy")


@pytest.mark.parametrize("options", [{"noise": 1e300}, {"noise": float("inf")}, {"deviations": 1e300}])
def test_options_of_the_background_stay_in_what_colours_can_be(options):
    with pytest.raises(ValueError, match="must lie in"):
        PixelCriterion(**options)


# --- combinations ---------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 100), tau=st.floats(0.05, 2.0))
def test_a_combination_is_past_its_threshold_where_any_or_all_are_past_theirs(seed, tau):
    a, b = torch.randn(2, 2, 4, 5, 16, generator=torch.Generator().manual_seed(seed))
    children = (Thresholded(criterion=L1(), tau_short=tau, tau_long=2 * tau), Thresholded(criterion=Cosine()))
    block = SourceBlock(latents=torch.zeros(1, 2, 4, 8, 10))
    for kind, meet in ((UnionCriterion, torch.logical_or), (IntersectionCriterion, torch.logical_and)):
        measure = measure_of(kind(of=children), TOY)
        measure.read(block)
        assert (measure.tau_short, measure.tau_long) == (1.0, 1.0)
        short, long = L1()(a, b), Cosine()(a, b)
        assert torch.equal(measure.short(a, b) > 1, meet(short / tau > 1, long / 0.03 > 1))
        assert torch.equal(measure.long(a, b) > 1, meet(short / (2 * tau) > 1, long / 0.13 > 1))


def test_each_child_reads_what_it_looks_at_and_a_union_of_one_kind_is_that_kind(tmp_path):
    masks = np.zeros((36, 64, 64), dtype=bool)
    masks[16:20, :8, :8] = True
    path = mask_file(tmp_path, masks)
    pieces, bare = pieces_of(scene()), "refiners=['threshold']"
    alone = [
        kept(f"criterion={each}", bare, pieces=pieces)
        for each in ("l1", f"{{name='mask', path='{path}'}}", "pixel")
    ]
    both = kept(
        f"criterion={{name='union', of=['l1', {{name='mask', path='{path}'}}, 'pixel']}}", bare, pieces=pieces
    )
    assert bool((alone[1] <= both).all()) and bool((alone[2] <= both).all())
    assert torch.equal(kept("criterion={name='union', of=['l1', 'l1']}", pieces=pieces), kept(pieces=pieces))
    assert torch.equal(
        kept("criterion={name='intersection', of=['l1', 'l1']}", pieces=pieces), kept(pieces=pieces)
    )


def test_children_are_made_by_name_with_their_options_and_thresholds():
    config = build_config(
        settings=[
            "criterion={name='union', of=['l1', {name='cosine', tau_short=0.1}, {name='l1-trimmed', trim=0.1}]}"
        ]
    )
    made = make_parts(HOST, config).criterion
    assert [child.criterion.__class__.__name__ for child in made.of] == ["L1", "Cosine", "TrimmedL1"]
    assert (made.of[1].tau_short, made.of[2].criterion.trim) == (0.1, 0.1)
    assert made.needs == set()
    assert UnionCriterion(
        of=(Thresholded(criterion=L1()), Thresholded(criterion=PixelCriterion()))
    ).needs == {"pixels"}


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ("'l1'", "list of names"),
        ("['l1']", "of"),
        ("['l1', {name='cosine', tau_short=-1.0}]", r"of\[1\].*-1\.0"),
        ("['l1', {name='cosine', trim=1}]", "no option 'trim'"),
        ("['l1', 3]", r"of\[1\]"),
    ],
)
def test_a_combination_that_cannot_be_meant_is_refused(of, told):
    with pytest.raises(ConfigError, match=told):
        make_parts(HOST, build_config(settings=[f"criterion={{name='union', of={of}}}"]))


def test_a_child_without_a_threshold_is_named():
    union = UnionCriterion(
        of=(Thresholded(criterion=L2(normalise="released")), Thresholded(criterion=Cosine()))
    )
    with pytest.raises(ValueError, match="L2 has no default thresholds"):
        measure_of(union, TOY)


# --- relative l1 ----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), frames=st.integers(1, 3))
def test_the_relative_distance_does_not_change_with_the_scale_of_the_latents(seed, scale, frames):
    current, reference = torch.randn(2, frames, 5, 6, 8, generator=torch.Generator().manual_seed(seed))
    distance = RelativeL1()(current, reference)
    assert_near(RelativeL1()(scale * current, scale * reference), distance, 2e-5)


def test_the_same_change_counts_less_where_the_picture_is_lively_and_flat_places_have_a_floor():
    still = torch.randn(1, 8, 16, 8)
    still[:, :, :8] = 0
    moved = still + 0.1
    distance = RelativeL1()(moved, still)[0]
    assert distance[:, 2:6].min() > distance[:, 10:14].max()
    level = RelativeL1(floor=1.0)(moved, still)[0]
    assert float(level.max()) < float(distance.max()) < float("inf")
