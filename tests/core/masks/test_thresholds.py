"""Default, quantile and budget: where thresholds come from."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar import Scheduler, build_config, load_plugins
from lipar.config import ConfigError
from lipar.masks.measure import measure_of
from lipar.masks.source import SourceFormat
from lipar.masks.stream import MaskStream, clip_mask
from lipar.masks.thresholds import LEAST_SHARE, AdaptiveThresholds
from lipar.testing.strategies import features, seeds, splits
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar_plugins.criteria import L1, L2, Cosine, RelativeL1, TrimmedL1
from lipar_plugins.refiners import Dilate, GaussianThreshold, KeepMovers, Median, OpenClose, Threshold

DEFAULT = [Median(), GaussianThreshold(), Median(), OpenClose(), Dilate(), KeepMovers()]
LOOKING_AHEAD = [Median(look_ahead=True), GaussianThreshold(), Dilate(look_ahead=True)]
CODED = SourceFormat(patch_size=2, autoencoder=ToyAutoencoder())


def defaults(criterion, source):
    """Its thresholds where none are given."""
    made = measure_of(criterion, source)
    return made.tau_short, made.tau_long


def busy(blocks, seed=0, rows=16, cols=16):
    """A patch of changing size wanders over a noisy ground: another fraction moves in every block."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(1, rows, cols, 8, generator=generator).repeat(3 * blocks, 1, 1, 1)
    for t in range(3 * blocks):
        side = 2 + (5 * t // 7) % 10
        row, col = (3 * t) % (rows - 2), (5 * t) % (cols - 2)
        area = source[t, row : row + side, col : col + side]
        area += torch.randn(area.shape, generator=generator)
    return source + 0.05 * torch.randn(source.shape, generator=generator)


def masks(source, chain=DEFAULT, **options):
    stream = MaskStream(L1(), chain, adaptive=AdaptiveThresholds(**options), block_frames=3)
    return torch.cat([block.keep_mask for block in stream.push(source) + stream.flush()])


# --- defaults -------------------------------------------------------------------------------------------------


def test_distances_that_grow_with_the_latents_take_the_autoencoders_thresholds_by_their_ratio():
    assert defaults(L1(), CODED) == (0.15, 0.3)
    assert defaults(TrimmedL1(trim=0.0), CODED) == (0.15, 0.3)
    assert defaults(TrimmedL1(), CODED)[0] == pytest.approx(0.15 * 0.761, rel=1e-3)
    assert defaults(L2(), CODED)[1] == pytest.approx(0.3 * 2**0.5)


def test_the_ratios_are_those_of_laplacian_differences():
    noise = torch.distributions.Laplace(0.0, 1.0).sample((1, 40, 40, 400))
    still = torch.zeros_like(noise)
    l1 = L1()(noise, still).mean()
    for criterion in (TrimmedL1(), TrimmedL1(trim=0.35), L2()):
        assert float(criterion(noise, still).mean() / l1) == pytest.approx(criterion.l1_ratio, rel=0.02)


@pytest.mark.parametrize("criterion", [Cosine(), RelativeL1()], ids=repr)
def test_scale_free_criteria_have_their_own_without_an_autoencoder(criterion):
    short, long = defaults(criterion, SourceFormat(patch_size=2))
    assert 0 < short < long


def test_a_criterion_without_defaults_says_what_to_set():
    settings_of = ["criterion={name='l2', normalise='released'}"]
    model = ToyModel(autoencoder=ToyAutoencoder())
    with pytest.raises(ValueError, match=r"'l2' has no default.*prune.tau_short.*prune.quantile.*prune.keep"):
        Scheduler(model, build_config(settings=settings_of), host=load_plugins())
    for given_ in (["prune.tau_short=0.1", "prune.tau_long=0.2"], ["prune.keep=0.5"], ["prune.quantile=0.5"]):
        Scheduler(model, build_config(settings=[*settings_of, *given_]), host=load_plugins())


# --- quantile -------------------------------------------------------------------------------------------------


@given(quantile=st.floats(0.05, 0.95), seed=seeds)
def test_a_quantile_lets_its_share_of_a_block_past(quantile, seed):
    distance = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(seed))
    tau_short, tau_long = AdaptiveThresholds(quantile=quantile).of_block(distance)
    assert int((distance > tau_short).sum()) == pytest.approx((1 - quantile) * distance.numel(), abs=1)
    assert float(tau_long) == 2 * float(tau_short)


# --- budget ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0.25, 0.5, 0.8])
@pytest.mark.parametrize("chain", [DEFAULT, LOOKING_AHEAD, [Threshold()]], ids=["default", "ahead", "bare"])
def test_the_mean_kept_fraction_comes_to_the_target(target, chain):
    kept = masks(busy(61), chain, target=target)[3:].float().mean()
    assert float(kept) == pytest.approx(target, abs=0.05)


@pytest.mark.parametrize("target", [0.25, 0.5, 0.8])
def test_how_far_the_mean_is_off_is_what_the_share_has_moved(target):
    adaptive = AdaptiveThresholds(target=target)
    stream = MaskStream(L1(), DEFAULT, adaptive=adaptive, block_frames=3)
    kept, shares = [], []
    for block in busy(40).split(3):
        decided = stream.push(block)
        shares.append(float(adaptive._share))
        kept += [float(each.keep_mask.float().mean()) for each in decided]
    if all(LEAST_SHARE < share < 1 for share in shares):
        moved = torch.tensor(shares[-1] / target).log()
        off = sum(kept[1:]) / len(kept[1:]) - target
        assert off == pytest.approx(float(-moved * target / (0.5 * 39)), abs=1e-4)


@settings(max_examples=20)
@given(
    data=st.data(),
    chain=st.sampled_from([DEFAULT, LOOKING_AHEAD]),
    how=st.sampled_from(["target", "quantile"]),
)
def test_adaptive_thresholds_do_not_depend_on_how_a_stream_is_fed(data, chain, how):
    source = data.draw(features(frames=st.integers(1, 13)))
    whole = masks(source, chain, **{how: 0.4})
    assert torch.equal(masks(source, chain, **{how: 0.4}), whole)
    stream = MaskStream(L1(), chain, adaptive=AdaptiveThresholds(**{how: 0.4}), block_frames=3)
    blocks = []
    for piece in source.split(data.draw(splits(source.shape[0]))):
        blocks += stream.push(piece)
    assert torch.equal(torch.cat([block.keep_mask for block in blocks + stream.flush()]), whole)


def test_a_clip_in_which_nothing_changes_keeps_nothing_whatever_the_budget():
    keep = masks(torch.randn(1, 6, 6, 8).repeat(30, 1, 1, 1), target=0.5)
    assert bool(keep[:3].all()) and not bool(keep[3:].any())


def test_a_budget_goes_on_over_scene_cuts():
    generator = torch.Generator().manual_seed(0)
    scenes = [torch.randn(1, 1, 4, 16, 16, generator=generator) for _ in range(3)]
    pieces = [scene + 0.05 * torch.randn(1, 15, 4, 16, 16, generator=generator) for scene in scenes]
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("a dog")
    running = Scheduler(model, build_config(settings=["prune.keep=0.4"]), host=load_plugins())
    blocks = list(running.run([torch.cat(pieces, dim=1)]))
    assert [block.layout.has_history for block in blocks].count(False) == 3
    steady = [block.layout.kept_fraction for block in blocks if block.layout.has_history]
    assert 0.2 < sum(steady) / len(steady) < 0.6


@pytest.mark.parametrize(
    ("settings_of", "told"),
    [
        (["prune.keep=0.5", "prune.tau_short=0.1"], "tau_short and tau_long and keep"),
        (["prune.keep=0.5", "prune.quantile=0.5"], "quantile and keep"),
        (["prune.quantile=0.5", "prune.tau_long=0.1"], "tau_short and tau_long and quantile"),
        (["prune.keep=1.5"], "1.5"),
        (["prune.quantile=0.0"], "0.0"),
    ],
)
def test_thresholds_are_set_in_one_way(settings_of, told):
    with pytest.raises(ConfigError, match=told):
        build_config(settings=settings_of)


def test_a_stream_takes_values_or_adaptive_ones():
    for options in ({}, {"tau_short": 0.1, "adaptive": AdaptiveThresholds(target=0.5)}):
        with pytest.raises(ValueError, match="either given or adaptive"):
            clip_mask(torch.zeros(3, 2, 2, 4), L1(), DEFAULT, block_frames=3, **options)
