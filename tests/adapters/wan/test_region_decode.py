"""`lipar.enable(pipe, decode="regions")`."""

import pytest
import torch
from pipeline_toys import graph, options
from wan_toys import toy_pipeline

import lipar
from lipar.config import ConfigError
from lipar.enabling.target import EnableWarning
from lipar.testing.closeness import error
from lipar_adapters.tiny.pipeline import video_to_video_pipeline

SIZE = 128


def clip():
    """A still picture in which a square moves."""
    video = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).repeat(17, 1, 1, 1)
    for index, frame in enumerate(video):
        frame[:, 8:40, 2 * index : 2 * index + 32] = 0.9
    return video


def run(pipe, **changes):
    given = {"video": clip(), "prompt": "watercolour", "height": SIZE, "width": SIZE, "strength": 0.5}
    given |= {"num_inference_steps": 4, "output_type": "pt", "generator": torch.Generator().manual_seed(0)}
    return pipe(**given | changes).frames


@pytest.fixture(scope="module")
def pipe():
    pipe = video_to_video_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_clip_is_near_the_stock_decoding_and_still_where_nothing_changes(pipe):
    stock = run(lipar.enable(pipe, keep=0.3))
    regions = run(lipar.enable(pipe, keep=0.3, decode="regions"))
    lipar.disable(pipe)
    assert not torch.equal(stock, regions)
    assert (stock - regions).square().mean((0, 2, 3, 4)).max() < 10**-4.5
    assert torch.equal(regions[:, -4:, :, 96:], regions[:, -8:-4, :, 96:])


def test_only_the_decoding_of_the_pipelines_own_call_is_replaced(pipe):
    lipar.enable(pipe, keep=0.3, decode="regions")
    assert "decode" not in vars(pipe.vae)
    run(pipe)
    assert "decode" not in vars(pipe.vae)
    run(pipe, output_type="latent")
    assert "decode" in vars(pipe.vae)
    lipar.disable(pipe)
    assert "decode" not in vars(pipe.vae)


def test_disable_leaves_no_trace(pipe):
    before = graph(pipe)
    lipar.enable(pipe, keep=0.3, decode="regions")
    run(pipe, output_type="latent")
    lipar.disable(pipe)
    assert graph(pipe) == before


def test_without_the_keyword_the_stock_decoding_stays(pipe):
    expected = run(lipar.enable(pipe, keep=0.3))
    assert torch.equal(run(lipar.enable(pipe, keep=0.3, decode="whole")), expected)
    assert torch.equal(run(lipar.enable(pipe, {"decode": {"regions": "auto"}}, keep=0.3)), expected)
    lipar.disable(pipe)


def test_an_autoencoder_that_cannot_is_named():
    pipe = lipar.enable(toy_pipeline("v2v"), keep=0.3, decode="regions")
    pipe.vae.enable_tiling()
    with pytest.warns(EnableWarning, match="AutoencoderKLWan cannot decode regions, or is told to decode in"):
        pipe(**options("v2v", output_type="pt"))


def test_a_stock_autoencoder_decodes_by_regions():
    stock = lipar.enable(toy_pipeline("v2v"), keep=0.3)(**options("v2v", output_type="pt")).frames
    regions = lipar.enable(toy_pipeline("v2v"), keep=0.3, decode="regions")(
        **options("v2v", output_type="pt")
    ).frames
    assert error(regions, stock) < 0.5


def test_a_transformer_alone_has_no_autoencoder():
    with pytest.warns(EnableWarning, match="has no autoencoder; enable its pipeline"):
        lipar.enable(toy_pipeline("t2v").transformer, full_steps=1, decode="regions")


def test_another_word_is_refused(pipe):
    with pytest.raises(ConfigError, match="decode is 'regions' or 'whole', got 'tiles'"):
        lipar.enable(pipe, decode="tiles")
