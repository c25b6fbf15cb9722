"""Parity with the TTM authors' pipeline on tiny random weights: the inputs, every step, and the result."""

from contextlib import contextmanager
from unittest.mock import patch

import attrs
import numpy as np
import pytest
import torch
from golden_files import facts, tensors
from safetensors.torch import load_file

from lipar.testing.closeness import error
from lipar_adapters.time_to_move import encode_motion, time_to_move

LIMIT = 3e-5
RUNS = ["ttm_s10_tw2_ts5", "ttm_s50_tw3_ts6_default"]


@attrs.define(eq=False)
class Recorded:
    """The values of a repeated run; keys as in the golden files."""

    golden: dict
    ours: dict = attrs.field(factory=dict)
    orders: list = attrs.field(factory=list)
    sigmas: list = attrs.field(factory=list)


def golden_pipeline(folder, described):
    from diffusers import (
        AutoencoderKLWan,
        UniPCMultistepScheduler,
        WanImageToVideoPipeline,
        WanTransformer3DModel,
    )

    def weighed(model, name):
        model.load_state_dict(load_file(folder / f"{name}.safetensors"))
        return model.eval()

    models = described["models"]
    return WanImageToVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=weighed(AutoencoderKLWan(**models["vae_config"]), "tiny_vae"),
        scheduler=UniPCMultistepScheduler.from_config(described["scheduler_config"]),
        transformer=weighed(WanTransformer3DModel(**models["transformer_config"]), "tiny_transformer"),
        transformer_2=weighed(WanTransformer3DModel(**models["transformer_config"]), "tiny_transformer_2"),
        boundary_ratio=described["boundary_ratio"],
    )


@contextmanager
def watched(pipe, record):
    """Write down the condition, what every step gets and gives, and the solver's own state."""
    scheduler, ours = pipe.scheduler, record.ours
    prepare, step = pipe.prepare_latents, scheduler.step

    def watch_prepare(*args, **kwargs):
        latents, condition = prepare(*args, **kwargs)
        ours["condition"] = condition
        return latents, condition

    def watch_step(noise_pred, timestep, sample, **kwargs):
        i = len(record.orders)
        record.sigmas.append(float(scheduler.sigmas[i]))
        result = step(noise_pred, timestep, sample, **kwargs)
        record.orders.append(scheduler.this_order)
        ours[f"i{i}.model_input_sample"], ours[f"i{i}.noise_pred_cfg"] = sample, noise_pred
        ours[f"i{i}.after_scheduler_step"] = result[0]
        ours[f"i{i}.corrected_sample_state"] = scheduler.last_sample
        return result

    with patch.object(pipe, "prepare_latents", watch_prepare), patch.object(scheduler, "step", watch_step):
        yield


@pytest.fixture(scope="module", params=RUNS)
def run(request, shared):
    folder = shared / "golden" / "G4"
    path = folder / f"{request.param}.safetensors"
    described = facts(path)
    record = Recorded(tensors(path))
    pipe = golden_pipeline(folder, described)
    pipe.set_progress_bar_config(disable=True)
    inputs = np.load(folder / "inputs.npz")
    motion, mask = (
        torch.from_numpy(inputs[f"{name}_rgb_u8"]).permute(0, 3, 1, 2) for name in ("motion", "mask")
    )
    from PIL import Image

    drawn, draw = [], "lipar_adapters.time_to_move.generate.drawn_noise"
    from lipar_adapters.wan.begin import drawn_noise

    def watch_noise(*args):
        drawn.append(drawn_noise(*args))
        return drawn[-1]

    def remember(pipe, step, timestep, found):
        record.ours[f"i{step}.latents_after_mix"] = found["latents"]

    with watched(pipe, record), patch(draw, watch_noise):
        signal = encode_motion(pipe, motion, mask, height=64, width=96, num_frames=17, released=True)
        result = time_to_move(
            pipe,
            Image.fromarray(inputs["first_frame_rgb_u8"]),
            signal,
            tweak_index=described["tweak_index"],
            tstrong_index=described["tstrong_index"],
            num_inference_steps=described["steps"],
            guidance_scale=described["guidance_scale"],
            generator=torch.Generator().manual_seed(described["models"]["seeds"]["generator"]),
            prompt_embeds=torch.from_numpy(inputs["prompt_embeds"]),
            negative_prompt_embeds=torch.from_numpy(inputs["negative_prompt_embeds"]),
            callback_on_step_end=remember,
            output_type="latent",
            released=True,
        )
    record.ours |= {
        "ref_latents": signal.reference.transpose(1, 2),
        "latent_motion_mask": signal.mask[None, None],
        "initial_latents_noise": drawn[0],
        "fixed_noise": drawn[1],
        "final_latents": result.frames,
    }
    return record, described


def test_every_stored_tensor_is_the_originals(run):
    record, _ = run
    elsewhere = {"mask_video_T1HW_u8", "latent_motion_mask", "timesteps", "sigmas"}
    names = sorted(set(record.golden) - elsewhere)
    assert len(names) > 15
    worst = {name: error(record.ours[name], record.golden[name]) for name in names}
    assert {name: far for name, far in worst.items() if far > LIMIT} == {}


def test_masks_are_the_originals_bit_for_bit(run, shared):
    from lipar_adapters.time_to_move.motion_latents import scale_mask

    record, _ = run
    mask = torch.from_numpy(np.load(shared / "golden" / "G4" / "inputs.npz")["mask_rgb_u8"])
    shown = scale_mask(mask.permute(0, 3, 1, 2), (64, 96))
    assert torch.equal(shown[:, None].to(torch.uint8), record.golden["mask_video_T1HW_u8"])
    assert torch.equal(record.ours["latent_motion_mask"].to(torch.uint8), record.golden["latent_motion_mask"])


def test_the_solver_takes_the_originals_orders_at_the_originals_noise_levels(run):
    record, described = run
    assert record.orders == [step["this_order"] for step in described["loop"]]
    assert record.sigmas == [step["sigma"] for step in described["loop"]]
