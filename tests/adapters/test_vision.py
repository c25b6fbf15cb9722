"""Features of a vision model in a folder: a tiny one that is made here."""

import json

import pytest
import torch
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, ViTConfig, ViTModel

from lipar.metrics.features import Feature
from lipar.metrics.table import consistency_metrics
from lipar.testing.closeness import assert_near
from lipar_adapters.vision import load_vision_feature

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
EVERYWHERE = torch.ones(32, 32, dtype=torch.bool)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny-vit"
    ViTModel(ViTConfig(image_size=32, patch_size=16, **SMALL)).save_pretrained(path)
    scale = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (path / "preprocessor_config.json").write_text(json.dumps(scale))
    return path


def test_its_vectors_are_the_models_and_its_name_is_the_folders(folder):
    feature = load_vision_feature(folder)
    assert isinstance(feature, Feature) and feature.name == "tiny-vit"
    clip = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        expected = ViTModel.from_pretrained(folder).eval()(pixel_values=(clip - 0.5) / 0.25).pooler_output
    assert_near(feature(clip, EVERYWHERE), expected, 1e-5)
    assert "tiny-vit" in consistency_metrics(feature)["subject-consistency"].label


def test_what_lies_outside_of_the_region_does_not_matter(folder):
    feature = load_vision_feature(folder)
    region = EVERYWHERE.clone()
    region[:16] = False
    a = torch.rand(1, 3, 32, 32)
    b = torch.where(region, a, torch.rand(1, 3, 32, 32))
    assert torch.equal(feature(a, region), feature(b, region))
    assert not torch.equal(feature(a, EVERYWHERE), feature(b, EVERYWHERE))


def test_of_clip_it_takes_the_embedding_of_pictures(tmp_path):
    text = SMALL | {"vocab_size": 20, "max_position_embeddings": 8}
    vision = SMALL | {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(tmp_path)
    assert load_vision_feature(tmp_path)(torch.rand(2, 3, 48, 40), torch.ones(48, 40).bool()).shape[0] == 2


def test_a_folder_without_a_vision_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no config\.json"):
        load_vision_feature(tmp_path)
    BertModel(BertConfig(vocab_size=20, **SMALL)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"\(bert\) states no image_size"):
        load_vision_feature(tmp_path)
