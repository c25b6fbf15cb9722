"""The masks of the authors' code, bit for bit: compared with their outputs, and with a second implementation."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_toys import Watch

from lipar.layout import token_features
from lipar.masks.halo import HaloBuffer
from lipar.masks.stream import clip_mask
from lipar.protocols import Change
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import features
from lipar_plugins.criteria import L2, Cosine, TrimmedL1
from lipar_plugins.refiners import Dilate, GaussianThreshold, Median, MinKeep, OpenClose, Threshold

CLIPS = ["wan_real", "taef2_tea-pour"]
CRITERIA = {
    "L1_gaussian": TrimmedL1(),
    "L1": TrimmedL1(),
    "cos": Cosine(),
    "L2": L2(normalise="released"),
}


def released_chain(distance, version=1, min_keep=None):
    """The released order; their later version dilates back in time only."""
    chain = [
        Median(look_ahead=True),
        GaussianThreshold() if distance == "L1_gaussian" else Threshold(),
        Median(look_ahead=True),
        OpenClose(),
        Dilate(size=5, look_ahead=True, look_back=version == 1),
    ]
    return [*chain, MinKeep(fraction=min_keep)] if min_keep else chain


def released_mask(source, distance, tau_short, tau_long, refiners):
    return clip_mask(
        source,
        CRITERIA[distance],
        refiners,
        tau_short=tau_short,
        tau_long=tau_long,
        block_frames=3,
        reference="thresholded",
        whole_first_frames=1,
    )


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "golden" / "G1"
    if not folder.is_dir():
        pytest.skip("no golden masks (golden/G1) in 'shared'")
    return folder


@pytest.fixture(scope="module", params=CLIPS)
def clip(request, golden):
    """Arrays of one clip, its token features, and the settings of each mask."""
    arrays = dict(np.load(golden / f"{request.param}.npz"))
    source = token_features(torch.from_numpy(arrays["latents"]).float(), 2)
    settings_of = json.loads((golden / "masks_meta.json").read_text())[request.param]["masks"]
    return arrays, source, settings_of


# The second version is compared for whole clips only: its streaming mode is another method.
@pytest.mark.parametrize("version", [1, 2])
def test_every_released_mask_bit_for_bit(clip, version):
    arrays, source, settings_of = clip
    checked = 0
    for name, setting in settings_of.items():
        if setting.get("version") != version:
            continue
        distance = setting["distance"]
        refiners = released_chain(distance, version, setting["min_true_ratio"])
        keep_mask = released_mask(source, distance, setting["tau"], setting["tau2"], refiners)
        assert np.array_equal(keep_mask.numpy(), arrays[f"mask.{name}"]), name
        checked += 1
    assert checked == sum(name.startswith(f"mask.v{version}.") for name in arrays)


@pytest.mark.parametrize("distance", CRITERIA)
def test_every_released_distance(clip, distance):
    arrays, source, _ = clip
    watches = [Watch(), Watch(), Watch()]
    refiners = released_chain(distance)[:2]
    chain = [watches[0], refiners[0], watches[1], refiners[1], watches[2]]
    released_mask(source, distance, 0.15, None, chain)
    for watch, stage in zip(watches, ("raw", "median", "final")):
        expected = torch.from_numpy(arrays[f"{stage}_diffs.{distance}"])
        assert_near(watch.all("distance"), expected, 3e-6, of=source)


@pytest.mark.parametrize("version", [1, 2])
def test_every_released_stage(clip, version):
    arrays, source, _ = clip
    setting = "L1_gaussian.t0.15_l0.3"
    watches = [Watch() for _ in range(4)]
    refiners = released_chain("L1_gaussian", version)
    chain = [*refiners[:2], *(part for pair in zip(watches, refiners[2:]) for part in pair), watches[3]]
    released_mask(source, "L1_gaussian", 0.15, 0.3, chain)
    short = watches[0].all("distance") > 0.15
    stages = {"mask_short": short}
    names = ("mask_short_long", "mask_median", "mask_morph", "mask_dilated")
    stages |= {name: watch.all("keep") for name, watch in zip(names, watches)}
    for name, keep_mask in stages.items():
        assert np.array_equal(keep_mask.numpy(), arrays[f"stage.{name}.v{version}.{setting}"]), name
    expected = torch.from_numpy(arrays[f"long_diffs.{setting}"])
    assert_near(watches[0].all("long_term")[2:], expected, 3e-6, of=source)


def test_every_helper_probe(golden):
    probes = {name: torch.from_numpy(array) for name, array in np.load(golden / "helper_probes.npz").items()}

    def refine(refiner, volume):
        mask = volume.dtype == torch.bool
        distance = torch.zeros(volume.shape) if mask else volume
        change = Change(
            distance=distance,
            raw=distance,
            long_term=distance,
            keep=volume if mask else None,
            tau_short=0.15,
            tau_long=0.3,
        )
        buffer = HaloBuffer(refiner)
        parts = [part for part in (buffer.push(change), buffer.flush()) if part is not None]
        return torch.cat([part.keep if mask else part.distance for part in parts])

    for version in (1, 2):
        assert torch.equal(
            refine(Median(look_ahead=True), probes["probe_random"]), probes[f"probe_median_v{version}"]
        )
        dilate = Dilate(size=5, look_ahead=True, look_back=version == 1)
        impulse = probes["probe_impulse"] > 0
        assert torch.equal(refine(dilate, impulse), probes[f"probe_dilation_v{version}"])
    assert torch.equal(refine(OpenClose(), probes["probe_morph_in"]), probes["probe_morph_out"])
    for name in ("impulse", "random"):
        smooth = refine(GaussianThreshold(), probes[f"probe_{name}"])
        assert_near(smooth, probes[f"probe_gauss_{name}"], 2e-5)


# --- a second implementation -------------------------------------------------------------------------


def reference_mask(source, tau_short, tau_long):
    """The released mask with plain loops over frames; `source` in float32, t rows cols features."""

    def distance(a, b):
        count = a.shape[-1]
        return np.sort(np.abs(a - b), axis=-1)[..., int(0.2 * count) : int(0.8 * count)].mean(axis=-1)

    def cubes(volume):
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(volume, 1, mode="edge"), (3, 3, 3))
        return windows.reshape(*volume.shape, 27)

    def squares(mask, radius, outside):
        padded = np.pad(mask, ((0, 0), (radius, radius), (radius, radius)), constant_values=outside)
        size = 2 * radius + 1
        return np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))

    count = len(source)
    if count == 1:
        return np.ones(source.shape[:-1], dtype=bool)
    change = np.median(
        cubes(np.stack([distance(source[t], source[t - 1]) for t in range(1, count)])), axis=-1
    )
    taps = np.array([(s, v, u) for s in (-1, 0, 1) for v in (-1, 0, 1) for u in (-1, 0, 1)])
    weights = np.exp(-(taps**2).sum(axis=1) / (2 * 1.5**2)) * (taps[:, 0] < 1)
    change = cubes(change) @ (weights / weights.sum())
    keep = np.concatenate([np.ones((1, *change.shape[1:]), dtype=bool), change > tau_short])

    current = reference = source[0].copy()
    for t in range(count):
        if t >= 3:
            keep[t] |= distance(reference, source[t]) > tau_long
        current[keep[t]] = source[t][keep[t]]
        if t % 3 == 2:
            reference = current.copy()

    keep = cubes(keep[1:]).sum(axis=-1) >= 14
    for radius_outside, pick in ((True, np.min), (False, np.max), (False, np.max), (True, np.min)):
        keep = pick(squares(keep, 1, radius_outside), axis=(-2, -1))
    wide = squares(keep, 2, False).max(axis=(-2, -1))
    keep = wide.copy()
    keep[1:] |= wide[:-1]
    keep[:-1] |= wide[1:]
    return np.concatenate([np.ones((1, *keep.shape[1:]), dtype=bool), keep])


@settings(max_examples=40)
@given(
    source=features(
        frames=st.integers(1, 14), rows=st.integers(3, 12), cols=st.integers(3, 12), change=0.4, noise=0.12
    ),
    tau_short=st.sampled_from([0.08, 0.1, 0.13, 0.2]),
    tau_long=st.sampled_from([0.15, 0.2, 0.3]),
)
def test_the_stream_equals_the_second_implementation_at_any_length(source, tau_short, tau_long):
    keep_mask = released_mask(source, "L1_gaussian", tau_short, tau_long, released_chain("L1_gaussian"))
    assert np.array_equal(keep_mask.numpy(), reference_mask(source.numpy(), tau_short, tau_long))
