"""A damaged `model_index.json` of a pipeline, and one that names what is no part."""

import pytest
from weight_damages import CONFIG_DAMAGES, damaged, entry, gone, motion, named, text_to_video

from lipar_adapters.checkpoint_errors import CheckpointError


@pytest.mark.parametrize("damage", [*CONFIG_DAMAGES, gone], ids=named)
def test_a_damaged_index_of_a_pipeline_is_told(folders, tmp_path, damage):
    folder = damaged(folders, tmp_path, "ti2v")
    damage(folder / "model_index.json")
    for load in (text_to_video, motion):
        with pytest.raises(CheckpointError, match="model_index"):
            load(folder)


@pytest.mark.parametrize(
    "key_value",
    [
        ("transformer", ["os", "system"]),
        ("transformer", ["diffusers", "NoSuchModel"]),
        ("transformer", ["diffusers", "logging"]),
        ("transformer", ["../evil", "Model"]),
        ("transformer", []),
        ("transformer", [None, None]),
        ("transformer", [1, 2]),
        ("vae", ["diffusers", "AutoencoderKL"]),
        ("vae", [None, None]),
        ("scheduler", ["diffusers", "NoSuchScheduler"]),
        ("scheduler", [None, None]),
        ("text_encoder", ["transformers", "CLIPTextModel"]),
        ("../elsewhere", ["diffusers", "WanTransformer3DModel"]),
        ("_class_name", "StableDiffusionPipeline"),
        ("_class_name", ["WanPipeline"]),
    ],
    ids=str,
)
def test_an_index_that_names_what_is_no_part_is_told(folders, tmp_path, key_value):
    folder = damaged(folders, tmp_path, "ti2v")
    entry(*key_value)(folder / "model_index.json")
    with pytest.raises(CheckpointError) as caught:
        text_to_video(folder)
    assert str(folder) in str(caught.value)
