"""TAEHV from files of its own layout, in pieces, against a plain computation of the whole clip."""

from pathlib import Path
from typing import Any

import pytest
import torch
from taehv_toys import NAMES, WholeClip, save_taehv, taehv_state

from lipar.protocols import Autoencoder
from lipar.testing.closeness import assert_near
from lipar_adapters.checkpoint_errors import CheckpointError, MissingCheckpointError
from lipar_adapters.wan.taehv import Taehv, load_taehv


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taehv")
    for name in NAMES:
        save_taehv(folder, name)
    return folder


def loaded(folder: Path, name: str = "taew2_1.pth", dtype: torch.dtype = torch.float32) -> Taehv:
    return load_taehv(folder / name, dtype=dtype)


def clip(frames: int, size: tuple[int, int] = (32, 48)) -> torch.Tensor:
    return torch.rand(1, frames, 3, *size, generator=torch.Generator().manual_seed(1))


def noise(frames: int, channels: int = 16, size: tuple[int, int] = (4, 6)) -> torch.Tensor:
    return torch.randn(1, frames, channels, *size, generator=torch.Generator().manual_seed(2))


def encoded_whole(name: str, frames: torch.Tensor) -> torch.Tensor:
    """Latent frame i as the last of the clip that ends with pixel frame 4i."""
    whole = WholeClip(taehv_state(name))
    return torch.cat([whole.encode(frames[:, :end])[:, -1:] for end in range(1, frames.shape[1] + 1, 4)], 1)


@pytest.mark.parametrize(("name", "factor", "channels"), [("taew2_1.pth", 8, 16), ("taew2_2.pth", 16, 48)])
def test_the_release_follows_from_the_shapes(folder: Path, name: str, factor: int, channels: int) -> None:
    autoencoder = loaded(folder, name)
    assert isinstance(autoencoder, Autoencoder)
    assert (autoencoder.spatial_factor, autoencoder.latent_channels) == (factor, channels)
    assert (autoencoder.first_pixel_frames, autoencoder.next_pixel_frames) == (1, 4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(16, 16), (48, 80)])
def test_decoding_is_that_of_the_whole_clip(folder: Path, name: str, size: tuple[int, int]) -> None:
    channels, patch = NAMES[name]
    rows, columns = (side // (8 * patch) for side in size)
    latents = noise(3, channels, (rows, columns))
    frames = loaded(folder, name).decoder()(latents)
    assert frames.shape == (1, 9, 3, *size)
    assert_near(frames, WholeClip(taehv_state(name)).decode(latents), 1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(16, 16), (48, 80)])
def test_a_latent_frame_is_the_last_of_the_clip_that_ends_with_it(
    folder: Path, name: str, size: tuple[int, int]
) -> None:
    frames = clip(9, size)
    assert_near(loaded(folder, name).encoder()(frames), encoded_whole(name, frames), 5e-5)


def test_a_still_clip_is_encoded_as_by_taehv_itself(folder: Path) -> None:
    frames = clip(1).expand(-1, 9, -1, -1, -1)
    whole = WholeClip(taehv_state()).encode(frames)
    assert_near(loaded(folder).encoder()(frames), whole, 5e-5)


@pytest.mark.parametrize("pieces", [[1, 4, 4, 4], [5, 8], [1, 12]])
def test_encoding_in_pieces_is_encoding_the_whole(folder: Path, pieces: list[int]) -> None:
    frames, autoencoder = clip(13), loaded(folder)
    encode = autoencoder.encoder()
    latents = torch.cat([encode(piece) for piece in frames.split(pieces, dim=1)], dim=1)
    assert_near(latents, autoencoder.encoder()(frames), 1e-5)


@pytest.mark.parametrize("pieces", [[1, 1, 1, 1], [3, 1], [1, 3]])
def test_decoding_in_pieces_is_decoding_the_whole(folder: Path, pieces: list[int]) -> None:
    latents, autoencoder = noise(4), loaded(folder)
    decode = autoencoder.decoder()
    frames = torch.cat([decode(piece) for piece in latents.split(pieces, dim=1)], dim=1)
    assert frames.shape == (1, 13, 3, 32, 48)
    assert_near(frames, autoencoder.decoder()(latents), 1e-4)


def test_two_streams_and_their_inputs_do_not_disturb_each_other(folder: Path) -> None:
    frames, latents, autoencoder = clip(5), noise(2), loaded(folder)
    given = frames.clone(), latents.clone()
    first, second = autoencoder.encoder(), autoencoder.encoder()
    one = first(frames[:, :1])
    second(1 - frames)
    assert_near(torch.cat([one, first(frames[:, 1:])], 1), autoencoder.encoder()(frames), 1e-5)
    assert torch.equal(autoencoder.decoder()(latents), autoencoder.decoder()(latents))
    assert torch.equal(frames, given[0]) and torch.equal(latents, given[1])


def test_pixel_frames_lie_between_0_and_1(folder: Path) -> None:
    frames = loaded(folder).decoder()(noise(2) * 20)
    assert frames.min() >= 0 and frames.max() <= 1


@pytest.mark.parametrize(("begun", "count"), [(False, 4), (False, 3), (True, 1), (True, 6)])
def test_frames_that_make_no_whole_latent_are_refused(folder: Path, begun: bool, count: int) -> None:
    encode = loaded(folder).encoder()
    if begun:
        encode(clip(1))
    with pytest.raises(ValueError, match=rf"4n pixel frames, got {count}"):
        encode(clip(count))


def test_a_size_that_does_not_divide_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="40x48 do not divide into latents; crop or pad to multiples of 16"):
        loaded(folder, "taew2_2.pth").encoder()(clip(1, (40, 48)))


def test_bfloat16_weights_take_float32_frames(folder: Path) -> None:
    autoencoder = loaded(folder, dtype=torch.bfloat16)
    latents = autoencoder.encoder()(clip(5))
    assert latents.dtype == torch.bfloat16
    assert autoencoder.decoder()(latents.float()).shape == (1, 5, 3, 32, 48)
    assert_near(latents.float(), loaded(folder).encoder()(clip(5)), 0.2)


def test_safetensors_of_the_same_names_load_too(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(taehv_state(), tmp_path / "taew2_1.safetensors")
    other = load_taehv(tmp_path / "taew2_1.safetensors", dtype=torch.float32)
    assert torch.equal(other.decoder()(noise(2)), loaded(folder).decoder()(noise(2)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCheckpointError, match=r"no TAEHV weights at .*taew2_1\.pth"):
        load_taehv(tmp_path / "taew2_1.pth", dtype=torch.float32)


def damaged(change: str) -> Any:
    state = taehv_state()
    if change == "lacking":
        del state["decoder.9.conv.2.weight"]
    elif change == "more":
        state["decoder.6.conv.weight"] = torch.zeros(1)
    elif change == "other widths":
        state["encoder.17.weight"] = torch.zeros(32, 64, 3, 3)
    elif change == "another patch":
        state["encoder.0.weight"] = torch.zeros(64, 48, 3, 3)
    elif change == "no first layer":
        del state["encoder.0.weight"]
    elif change == "integers":
        state["decoder.1.bias"] = torch.zeros(256, dtype=torch.int32)
    elif change == "nan":
        state["decoder.1.bias"][3] = torch.nan
    else:
        return [1, 2]
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "lacking",
            r"all tensors of the TaehvNetwork that encoder\.0\.weight .*, got none named 'decoder\.9",
        ),
        ("more", r"got also 'decoder\.6\.conv\.weight'"),
        ("other widths", r"encoder\.17\.weight of shape \[16, 64, 3, 3\].*got \[32, 64, 3, 3\]"),
        (
            "another patch",
            r"taew2_1\.pth or taew2_2\.pth\), got encoder\.0\.weight of shape \[64, 48, 3, 3\]",
        ),
        ("no first layer", r"got a file without encoder\.0\.weight"),
        ("integers", r"decoder\.1\.bias in floating-point numbers, got whole numbers"),
        ("nan", r"NaN or infinity in decoder\.1\.bias"),
        ("a list", "no table; it holds a list"),
    ],
)
def test_what_is_no_taehv_of_wan_is_refused(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "taew2_1.pth"
    torch.save(damaged(change), path)
    with pytest.raises(CheckpointError, match=message):
        load_taehv(path, dtype=torch.float32)


def test_a_part_of_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "taew2_1.pth"
    path.write_bytes((folder / "taew2_1.pth").read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match="no readable checkpoint, or a part of one"):
        load_taehv(path, dtype=torch.float32)


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 0.05), (torch.bfloat16, 0.3)])
def test_on_a_gpu_it_gives_what_it_gives_on_a_cpu(folder: Path, dtype: torch.dtype, within: float) -> None:
    frames, latents = clip(9), noise(3)
    gpu = load_taehv(folder / "taew2_1.pth", dtype=dtype, device="cuda")
    assert_near(gpu.encoder()(frames).cpu().float(), loaded(folder).encoder()(frames), within)
    assert_near(gpu.decoder()(latents).cpu().float(), loaded(folder).decoder()(latents), within)
