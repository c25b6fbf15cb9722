"""LPIPS with weights that are made up, in the formats of the published files."""

import pytest
import torch
from lpips_toys import made_up_backbone, write_lpips_files
from torch import nn

from lipar.metrics.lpips import Lpips, published_heads


@pytest.fixture(scope="module")
def backbone():
    return made_up_backbone()


@pytest.fixture
def files(tmp_path):
    return write_lpips_files(tmp_path)


def pictures(seed=0, frames=2, size=64):
    return torch.rand(frames, 3, size, size, generator=torch.Generator().manual_seed(seed))


def features_of_torchvision(weights):
    """The layers of `torchvision.models.alexnet().features`, which loads these weights by their keys."""
    relu = [nn.ReLU() for _ in range(5)]
    layers = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), relu[0], nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), relu[1], nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), relu[2]),
        *(nn.Conv2d(384, 256, 3, padding=1), relu[3]),
        *(nn.Conv2d(256, 256, 3, padding=1), relu[4], nn.MaxPool2d(3, 2)),
    )
    parts = {key.removeprefix("features."): value for key, value in weights.items() if "features" in key}
    layers.load_state_dict(parts)
    return layers


@pytest.fixture
def of_torchmetrics(monkeypatch, backbone):
    """torchmetrics' LPIPS on the same made-up backbone."""
    module = pytest.importorskip("torchmetrics.functional.image.lpips", reason="compares with torchmetrics")
    monkeypatch.setattr(
        module, "_get_tv_model_features", lambda net, pretrained: features_of_torchvision(backbone)
    )

    def make(path):
        return module._LPIPS(net="alex", pretrained=True, model_path=str(path))

    return make


def test_it_is_the_distance_that_torchmetrics_computes_with_the_same_weights(files, of_torchmetrics):
    a, b = pictures(0), pictures(1)
    with torch.no_grad():
        expected = of_torchmetrics(files[1])(a, b, normalize=True)
    found = Lpips.load(*files)
    assert found.per_frame(a, b).tolist() == pytest.approx(expected.flatten().tolist(), rel=1e-4)
    assert found(a, b) == pytest.approx(float(expected.mean()), rel=1e-4)
    assert found(a, b) > 0.01


def test_the_published_heads_are_those_inside_torchmetrics(files):
    pytest.importorskip("torchmetrics", reason="holds the heads")
    heads = Lpips.load(files[0]).heads
    assert published_heads().is_file()
    assert all(float(value.min()) >= 0 for value in heads.values())  # learned with that constraint


def test_the_distance_of_equal_clips_is_0_it_is_symmetric_and_grows_with_noise(files):
    distance, a = Lpips.load(*files), pictures()
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(3))
    values = [distance(a, a + sigma * noise) for sigma in (0, 0.05, 0.2, 0.5)]
    assert values[0] == 0 and values == sorted(values) and values[-1] > values[1]
    assert distance(a, a + noise) == pytest.approx(distance(a + noise, a), rel=1e-5)


def test_pictures_too_small_for_the_last_pooling_are_refused_and_the_smallest_has_a_distance(files):
    distance = Lpips.load(*files)
    assert distance(pictures(0, 1, 31), pictures(1, 1, 31)) > 0
    with pytest.raises(ValueError, match=r"31 pixels or more a side.*got 30x30"):
        distance(pictures(0, 1, 30), pictures(1, 1, 30))


def test_other_weights_are_refused_by_the_first_tensor_that_differs(files, backbone, tmp_path):
    wrong = tmp_path / "wrong.pth"
    torch.save({key: value for key, value in backbone.items() if key != "features.3.weight"}, wrong)
    with pytest.raises(ValueError, match=r"has no tensor features\.3\.weight; it has features\.0\.weight"):
        Lpips.load(wrong, files[1])
    torch.save(backbone | {"features.6.bias": torch.zeros(5)}, wrong)
    with pytest.raises(ValueError, match=r"features\.6\.bias of .* must be \[384\].*got \[5\]"):
        Lpips.load(wrong, files[1])
    with pytest.raises(ValueError, match=r"has no tensor lin0\.model\.1\.weight"):
        Lpips.load(files[0], files[0])
    torch.save([1], wrong)
    with pytest.raises(ValueError, match="as a dict; got a list"):
        Lpips.load(wrong, files[1])
    wrong.write_bytes(b"no weights")
    with pytest.raises(ValueError, match="cannot be read as plain tensors"):
        Lpips.load(wrong, files[1])
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent\.pth"):
        Lpips.load(tmp_path / "absent.pth", files[1])


def test_a_file_that_would_run_code_is_refused(files, tmp_path):
    path = tmp_path / "whole-model.pth"
    torch.save(nn.Linear(1, 1), path)
    with pytest.raises(ValueError, match="cannot be read as plain tensors"):
        Lpips.load(path, files[1])
