"""A stream from pixel frames to pixel frames times every stage of a block."""

import torch

from lipar.testing.toy import ToyAutoencoder
from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.stream import bench_config
from lipar_lab.bench.video_stream import STAGES, BlockTimes, VideoStream, pixel_frames


class CountingAutoencoder(ToyAutoencoder):
    """Notes how many frames each call is given; a stream begins with one pixel frame, as Wan's does."""

    first_pixel_frames = 1

    def __init__(self):
        self.encoded, self.decoded = [], []

    def encoder(self):
        encode = super().encoder()

        def counted(frames):
            self.encoded.append(frames.shape[1])
            return encode(
                frames if frames.shape[1] % 4 == 0 else torch.cat([frames[:, :1]] * 3 + [frames], 1)
            )

        return counted

    def decoder(self):
        decode = super().decoder()

        def counted(latents):
            self.decoded.append(latents.shape[1])
            return decode(latents)

        return counted


def stream_of(model, task="video-to-video", **options):
    autoencoder = CountingAutoencoder()
    config = bench_config(model.shape, "trimmed", task, steps=(400,))
    return VideoStream(model, config, autoencoder, **options), autoencoder


def test_each_block_is_encoded_and_decoded_once(bench_model):
    stream, autoencoder = stream_of(bench_model)
    encoded = len(autoencoder.encoded)
    assert autoencoder.encoded[:2] == [9, 12] and not autoencoder.decoded
    for _ in range(2):
        stream.run(random_mask(stream.grid, 0.5))
    assert autoencoder.encoded[encoded:] == [12, 12]
    assert autoencoder.decoded == [3, 3]


def test_all_stages_are_timed_and_add_up(bench_model):
    stream, _ = stream_of(bench_model)
    times = stream.run(random_mask(stream.grid, 0.5))
    assert tuple(times.stages) == STAGES
    assert all(seconds > 0 for seconds in times.stages.values())
    assert times.with_clean_pass == sum(times.stages.values())


def test_the_clean_pass_alone_makes_the_difference_between_both_totals():
    stages = dict.fromkeys(STAGES, 1.0) | {"clean pass": 4.0}
    times = BlockTimes(stages=stages)
    assert (times.with_clean_pass, times.without_clean_pass) == (10.0, 6.0)


def test_text_to_video_encodes_nothing(bench_model):
    stream, autoencoder = stream_of(bench_model, "text-to-video")
    times = stream.run(random_mask(stream.grid, 0.5))
    assert not autoencoder.encoded and times.stages["encode"] == 0


def test_a_dense_stream_decides_no_mask_and_keeps_everything(bench_model):
    stream, _ = stream_of(bench_model, dense=True)
    assert stream.run(random_mask(stream.grid, 0.5)).stages["mask"] == 0


def test_pixel_frames_have_the_size_of_the_models_tokens(bench_model):
    frames = pixel_frames(bench_model, ToyAutoencoder())
    # 6x8 tokens of 2x2 latents of 4x4 pixels; 3 latent frames of 4 pixel frames
    assert frames.shape == (1, 12, 3, 48, 64)
    assert float(frames.min()) >= 0 and float(frames.max()) <= 1
