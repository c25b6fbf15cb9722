"""Stock pipelines from folders on this machine, and the adapters that name them."""

import json
import shutil

import pytest
import torch
from taehv_toys import save_taehv
from wan_toys import save_pipeline

from lipar import ConfigError, build_config, load_plugins
from lipar.plugin.compatibility import check_config
from lipar_adapters.wan.pipelines import Wan22A14B, Wan22TI2V, family_of, read_index

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders as Wan's releases have them: the 5B's is that of a text-to-video pipeline."""
    root = tmp_path_factory.mktemp("wan")
    return {kind: save_pipeline(root / kind, kind) for kind in ("t2v-5b", "i2v-a14b", "t2v-a14b", "t2v")}


@pytest.mark.parametrize(
    ("kind", "family"),
    [("t2v-5b", "wan2.2-ti2v"), ("i2v-a14b", "wan2.2-a14b"), ("t2v-a14b", "wan2.2-a14b"), ("t2v", "wan2.1")],
)
def test_a_folder_tells_which_wan_it_is(folders, kind, family):
    assert family_of(read_index(folders[kind])) == family


@pytest.mark.parametrize(
    ("adapter", "kind", "image", "name"),
    [
        (Wan22TI2V, "t2v-5b", True, "WanImageToVideoPipeline"),
        (Wan22TI2V, "t2v-5b", False, "WanPipeline"),
        (Wan22A14B, "i2v-a14b", True, "WanImageToVideoPipeline"),
        (Wan22A14B, "t2v-a14b", False, "WanPipeline"),
    ],
)
def test_an_adapter_gives_the_stock_pipeline_with_what_its_folder_says(folders, adapter, kind, image, name):
    pipe = adapter(folder=str(folders[kind]), image=image).load(CPU, torch.bfloat16)
    assert type(pipe).__name__ == name
    assert pipe.config.expand_timesteps == (kind == "t2v-5b")
    assert pipe.config.boundary_ratio == (0.9 if "a14b" in kind else None)
    assert (pipe.transformer_2 is not None) == ("a14b" in kind)
    assert pipe.transformer.dtype == torch.bfloat16
    assert pipe.vae.dtype == torch.float32


@pytest.mark.parametrize(
    ("adapter", "kind", "image", "said"),
    [
        (Wan22TI2V, "i2v-a14b", True, r"is of wan2\.2-a14b, not of wan2\.2-ti2v"),
        (Wan22A14B, "t2v-5b", True, r"is of wan2\.2-ti2v, not of wan2\.2-a14b"),
        (Wan22A14B, "t2v-a14b", True, "holds Wan's text-to-video model, and image-to-video is needed"),
        (Wan22A14B, "i2v-a14b", False, "holds Wan's image-to-video model, and text-to-video is needed"),
    ],
)
def test_another_model_in_the_folder_is_refused_before_weights_are_read(folders, adapter, kind, image, said):
    with pytest.raises(ValueError, match=said):
        adapter(folder=str(folders[kind]), image=image).load(CPU, torch.float32)


def test_what_is_missing_in_a_folder_is_named(folders, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no model_index\.json"):
        read_index(tmp_path)
    folder = shutil.copytree(folders["t2v-5b"], tmp_path / "part")
    shutil.rmtree(folder / "tokenizer")
    for weights in (folder / "vae").glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"missing: (tokenizer, vae|vae, tokenizer)"):
        read_index(folder)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(ValueError, match="is of a FluxPipeline, not of a Wan pipeline"):
        read_index(tmp_path)


@pytest.mark.parametrize("name", ["ttm", "wan2.2-ti2v", "wan2.2-a14b"])
def test_commands_that_go_block_by_block_refuse_models_that_make_whole_clips(name, tmp_path):
    settings = [f"adapter={name}", *([] if name == "ttm" else [f"adapter.folder={str(tmp_path)!r}"])]
    with pytest.raises(
        ConfigError, match=f"adapter '{name}' generates a whole clip in a single pass.*use `lipar ttm`"
    ):
        check_config(load_plugins(), build_config(settings=settings))


def test_offloading_from_a_cpu_is_refused(folders):
    with pytest.raises(ValueError, match="nothing to offload from a CPU"):
        Wan22TI2V(folder=str(folders["t2v-5b"]), offload=True).load(CPU, torch.float32)


@pytest.mark.parametrize(("adapter", "kind"), [(Wan22TI2V, "t2v-5b"), (Wan22A14B, "i2v-a14b")])
def test_taehv_replaces_the_autoencoder_of_the_folder(folders, tmp_path, adapter, kind):
    folder = shutil.copytree(folders[kind], tmp_path / "part")
    shutil.rmtree(folder / "vae")
    file = str(save_taehv(tmp_path))  # the toys of both families have 16 channels
    pipe = adapter(folder=str(folder), autoencoder="taehv", taehv=file).load(CPU, torch.bfloat16)
    assert type(pipe.vae).__name__ == "TaehvWanAutoencoder"
    assert pipe.vae.dtype == torch.bfloat16
    assert (pipe.vae_scale_factor_temporal, pipe.vae_scale_factor_spatial) == (4, 8)


def test_taehv_of_another_wan_is_refused(folders, tmp_path):
    file = str(save_taehv(tmp_path, "taew2_2.pth"))
    adapter = Wan22A14B(folder=str(folders["i2v-a14b"]), autoencoder="taehv", taehv=file)
    with pytest.raises(ValueError, match=r"makes latents of 48 channels, and the transformer gives 16; take"):
        adapter.load(CPU, torch.float32)


def test_taehv_without_its_file_is_refused(folders, tmp_path):
    folder = str(folders["t2v-5b"])
    for options, said in (
        ({}, "set adapter.taehv to the released taew2_1.pth"),
        ({"taehv": str(tmp_path / "no.pth")}, r"adapter.taehv: there is no file at .*no\.pth"),
    ):
        with pytest.raises(FileNotFoundError, match=said):
            Wan22TI2V(folder=folder, autoencoder="taehv", **options).load(CPU, torch.float32)
    with pytest.raises(ValueError, match="the autoencoder is 'wan'"):
        Wan22TI2V(folder=folder, taehv="taew2_2.pth")
