"""The Self-Forcing adapter: checkpoints and folders, what is missing, and an edit from pixels to pixels."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from taehv_toys import save_taehv
from wan_toys import original_names, save_wan_folder, toy_transformer

from lipar import Config, ConfigError, Scheduler, build_config, load_plugins
from lipar.config import PruneConfig
from lipar.plugin.parts import make_adapter
from lipar.protocols import Adapter
from lipar.spec import AutoencoderSpec
from lipar_adapters.self_forcing import SelfForcing
from lipar_adapters.wan import checkpoints

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a model hub was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole diffusers folder."""
    folder = tmp_path_factory.mktemp("wan")
    save_wan_folder(folder)
    return folder


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A checkpoint as Self-Forcing releases them."""
    named = {
        f"model._fsdp_wrapped_module.{name}": tensor
        for name, tensor in original_names(toy_transformer()).items()
    }
    torch.save({"generator_ema": named}, tmp_path / "self_forcing.pt")
    return tmp_path / "self_forcing.pt"


def latents_only(checkpoint: Path, **options: Any) -> Any:
    return SelfForcing(checkpoint=str(checkpoint), autoencoder="none", head_dim=16, **options).load(
        CPU, torch.float32
    )


def same_weights(one: Any, other: Any) -> bool:
    theirs = other.state_dict()
    ours = one.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_it_is_registered_and_its_options_come_from_the_config(released: Path) -> None:
    settings = ["adapter=self-forcing", f"adapter.checkpoint={released}", "adapter.block_frames=2"]
    settings += ["adapter.edit_steps=[500, 250]", "adapter.autoencoder=none"]
    adapter = make_adapter(load_plugins(), build_config(settings=settings))
    assert isinstance(adapter, Adapter)
    assert adapter == SelfForcing(
        checkpoint=str(released), block_frames=2, edit_steps=(500, 250), autoencoder="none"
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("block_frames=0", "block_frames"),
        ("edit_steps=[300, 400]", "edit_steps must fall"),
        ("text_to_video_steps=[]", "text_to_video_steps"),
        ("edit_steps=[1200]", "edit_steps"),
        ("shift=0", "shift"),
        ("autoencoder=tae", "'wan' or 'taehv' or 'none', got 'tae'"),
        ("taehv=taew2_1.pth", "the autoencoder is 'wan'; set adapter.autoencoder to 'taehv'"),
        ("chekpoint=x", "no option 'chekpoint'"),
    ],
)
def test_options_out_of_range_are_refused(setting: str, message: str) -> None:
    config = build_config(settings=["adapter=self-forcing", f"adapter.{setting}"])
    with pytest.raises(ConfigError, match=message):
        make_adapter(load_plugins(), config)


def test_the_released_layout_loads_as_the_same_model(released: Path) -> None:
    assert same_weights(latents_only(released).transformer, toy_transformer())


def test_plain_names_and_safetensors_load_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    named = {name: tensor.contiguous() for name, tensor in original_names(toy_transformer()).items()}
    save_file(named, tmp_path / "causal.safetensors")
    assert same_weights(latents_only(tmp_path / "causal.safetensors").transformer, toy_transformer())


def test_a_diffusers_folder_loads_as_the_same_model(folder: Path) -> None:
    for path in (folder, folder / "transformer"):
        assert same_weights(latents_only(path).transformer, toy_transformer())


def test_the_golden_checkpoint_loads(shared: Path) -> None:
    golden = shared / "golden" / "G2" / "tiny_checkpoint.pt"
    model = SelfForcing(checkpoint=str(golden), autoencoder="none", head_dim=32).load(CPU, torch.float32)
    assert (model.num_layers, model.rope.head_dim) == (3, 32)


def test_the_config_of_base_tells_the_head_size(released: Path, folder: Path) -> None:
    adapter = SelfForcing(checkpoint=str(released), base=str(folder), autoencoder="none")
    assert adapter.load(CPU, torch.float32).rope.head_dim == 16


@pytest.mark.parametrize("as_folder", [False, True])
def test_in_bfloat16_time_embedder_and_norms_stay_float32(
    released: Path, folder: Path, as_folder: bool
) -> None:
    adapter = SelfForcing(checkpoint=str(folder if as_folder else released), autoencoder="none", head_dim=16)
    model = adapter.load(CPU, torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert isinstance(model.transformer, torch.nn.Module)
    types = {name: parameter.dtype for name, parameter in model.transformer.named_parameters()}
    for part in ("time_embedder", "scale_shift_table", "norm2"):
        assert {kind for name, kind in types.items() if part in name} == {torch.float32}
    assert {kind for name, kind in types.items() if "to_q" in name or "ffn" in name} == {torch.bfloat16}
    assert model.transformer.rope.freqs_cos.dtype != torch.bfloat16


@pytest.mark.parametrize(
    ("heads", "block_frames", "size", "text_rows"),
    [(1, 1, (2, 2), 3), (3, 4, (6, 10), 40), (2, 2, (14, 4), 512)],
)
def test_any_heads_blocks_sizes_and_text_rows(
    tmp_path: Path, heads: int, block_frames: int, size: tuple[int, int], text_rows: int
) -> None:
    torch.save(
        {"generator": original_names(toy_transformer(num_attention_heads=heads))}, tmp_path / "model.pt"
    )
    model = latents_only(tmp_path / "model.pt", block_frames=block_frames, text_rows=text_rows)
    model.prompt_embeds = torch.randn(1, text_rows, 64)
    source = torch.randn(1, 1, 16, *size).repeat(1, 3 * block_frames, 1, 1, 1)
    config = Config(prune=PruneConfig(tau_short=0.5, tau_long=0.5))
    blocks = list(Scheduler(model, config).run([source]))
    assert [block.latents.shape[1] for block in blocks] == [block_frames] * 3
    assert blocks[-1].layout.kept_count == 0
    assert torch.cat([block.latents for block in blocks], dim=1).isfinite().all()


def test_a_whole_folder_edits_pixels(folder: Path) -> None:
    model = SelfForcing(checkpoint=str(folder), text_rows=24, block_frames=2).load(CPU, torch.float32)
    model.set_prompt("a pencil sketch")
    autoencoder = model.autoencoder
    assert autoencoder is not None
    encode, decode = autoencoder.encoder(), autoencoder.decoder()
    pixel_frames = torch.rand(1, 13, 3, 32, 48)
    source = [encode(piece) for piece in pixel_frames.split([5, 8], dim=1)]
    edited = [decode(block.latents) for block in Scheduler(model, Config()).run(iter(source))]
    assert torch.cat(edited, dim=1).shape == pixel_frames.shape


def test_taehv_edits_pixels_without_the_vae_of_wan(folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(folder, base)
    shutil.rmtree(base / "vae")
    adapter = SelfForcing(
        checkpoint=str(base),
        text_rows=24,
        block_frames=2,
        autoencoder="taehv",
        taehv=str(save_taehv(tmp_path)),
    )
    model = adapter.load(CPU, torch.float32)
    model.set_prompt("a pencil sketch")
    autoencoder = model.autoencoder
    assert autoencoder is not None and adapter.spec().autoencoder == AutoencoderSpec.of(autoencoder)
    encode, decode = autoencoder.encoder(), autoencoder.decoder()
    pixel_frames = torch.rand(1, 13, 3, 32, 48)
    source = [encode(piece) for piece in pixel_frames.split([5, 8], dim=1)]
    edited = [decode(block.latents) for block in Scheduler(model, Config()).run(iter(source))]
    assert torch.cat(edited, dim=1).shape == pixel_frames.shape


def test_a_missing_file_of_taehv_is_said_before_anything_is_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "load_transformer", lambda *_, **__: pytest.fail("weights were loaded"))
    for file, message in (
        (None, r"set adapter.taehv to the released taew2_1.pth"),
        (tmp_path / "no.pth", r"adapter.taehv: there is no file at .*no.pth"),
    ):
        adapter = SelfForcing(checkpoint=str(folder), autoencoder="taehv", taehv=file and str(file))
        with pytest.raises(FileNotFoundError, match=message):
            adapter.spec()
        with pytest.raises(FileNotFoundError, match=message):
            adapter.load(CPU, torch.float32)


def test_taehv_of_another_wan_is_refused(folder: Path, tmp_path: Path) -> None:
    file = str(save_taehv(tmp_path, "taew2_2.pth"))
    with pytest.raises(ValueError, match="makes latents of 48 channels, and the transformer takes 16"):
        SelfForcing(checkpoint=str(folder), autoencoder="taehv", taehv=file).load(CPU, torch.float32)


def test_without_a_checkpoint_it_says_what_is_needed() -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r"15 files are missing .*`lipar models fetch self-forcing`.* set adapter.checkpoint and adapter.base",
    ):
        SelfForcing().load(CPU, torch.float32)


def test_what_is_missing_is_said_before_anything_is_loaded(
    released: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "load_transformer", lambda *_, **__: pytest.fail("weights were loaded"))
    (tmp_path / "base" / "vae").mkdir(parents=True)
    (tmp_path / "base" / "vae" / "config.json").write_text("{}")
    for options, message in (
        ({"checkpoint": str(tmp_path / "no.pt")}, "adapter.checkpoint: there is nothing at .*no.pt"),
        ({"checkpoint": str(released)}, "set adapter.base to a local diffusers folder of Wan2.1-T2V-1.3B"),
        (
            {"checkpoint": str(released), "base": str(tmp_path / "base")},
            "missing: text_encoder/config.json, tokenizer/tokenizer_config.json",
        ),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            SelfForcing(**options).load(CPU, torch.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"not a checkpoint"), "no readable checkpoint"),
        (
            lambda path: torch.save({"weight": torch.zeros(2)}, path),
            "expected a Wan transformer, with patch_embedding.weight, got 'weight'",
        ),
        (lambda path: torch.save([1], path), "holds a list"),
        (
            lambda path: torch.save({"patch_embedding.weight": torch.zeros(2)}, path),
            "tensors of other names than Wan's own or diffusers'",
        ),
        (
            lambda path: torch.save(original_names(toy_transformer(attention_head_dim=18)), path),
            "set adapter.head_dim",
        ),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "model.pt")
    with pytest.raises(ValueError, match=message):
        latents_only(tmp_path / "model.pt")


def test_a_truncated_checkpoint_is_refused(released: Path) -> None:
    whole = released.read_bytes()
    released.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="no readable checkpoint, or a part of one"):
        latents_only(released)


def test_a_base_that_does_not_fit_the_checkpoint_is_refused(
    released: Path, folder: Path, tmp_path: Path
) -> None:
    config = json.loads((folder / "transformer" / "config.json").read_text())
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text(json.dumps({**config, "ffn_dim": 50}))
    with pytest.raises(ValueError, match="do not fit the config"):
        latents_only(released, base=str(tmp_path))


def test_a_folder_without_a_transformer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config.json there nor in transformer/"):
        latents_only(tmp_path)


def test_weights_are_counted_from_their_shapes(released: Path, folder: Path) -> None:
    count = sum(parameter.numel() for parameter in toy_transformer().parameters())
    assert checkpoints.stored_bytes(released, torch.bfloat16) == 2 * count
    assert checkpoints.stored_bytes(folder / "transformer", torch.float32) == 4 * count
