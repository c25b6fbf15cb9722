"""A run is put together from config and model; what does not fit is refused."""

import pytest

from lipar.config import ConfigError, build_config
from lipar.new_job import new_job
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel

HOST = load_plugins()


def job_of(*settings, dense=False, **model):
    model = ToyModel(**{"autoencoder": ToyAutoencoder(), **model})
    return new_job(HOST, build_config(settings=settings), model, dense=dense)


def test_the_kv_cache_is_that_of_the_model_unless_the_config_says_otherwise():
    own, set_ = job_of().cache, job_of("cache.sink_frames=0", "cache.window_frames=9").cache
    assert (own.sink_frames, own.window_frames) == (1, 6)
    assert (set_.sink_frames, set_.window_frames) == (0, 9)


def test_every_job_has_parts_and_masks_of_its_own():
    one, two = job_of(), job_of()
    assert one.parts.noise is not two.parts.noise and one.masks is not two.masks


@pytest.mark.parametrize(
    ("settings", "model", "message"),
    [
        (["cache.window_frames=3"], {}, "copy from the frame before it"),
        ([], {"autoencoder": None}, "prune.tau_short and prune.tau_long"),
        (["criterion=pixel"], {"autoencoder": None}, "reads pixel frames"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(settings, model, message):
    with pytest.raises(ConfigError, match=message):
        job_of(*settings, **model)


def test_a_dense_run_needs_no_frame_to_copy_from():
    assert job_of("cache.window_frames=3", dense=True).cache.window_frames == 3
