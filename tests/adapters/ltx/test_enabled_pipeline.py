"""What an enabled LTX pipeline warns of."""

import warnings

import pytest
from ltx_toys import run, some_layout, toy_pipeline

import lipar
from lipar.enabling.target import EnableWarning


def test_a_rescaled_guidance_is_warned_of_where_it_has_an_effect() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    with pytest.warns(EnableWarning, match=r"guidance_rescale=0.7 scales velocities"):
        run(pipe, "t2v", guidance_rescale=0.7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(pipe, "t2v", guidance_rescale=0.7, guidance_scale=1.0)
        run(pipe, "t2v")


def test_decoding_by_regions_is_not_offered() -> None:
    with pytest.warns(EnableWarning, match="the autoencoder of LTX-Video cannot decode regions"):
        lipar.enable(toy_pipeline("t2v"), layout=some_layout(), decode="regions")
