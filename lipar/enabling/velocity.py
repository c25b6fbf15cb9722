"""The velocity that a pruned token gets from a model that runs under a solver of its own.

Flow matching: a latent is x = (1 - sigma) x0 + sigma noise, and the model predicts the velocity v = noise - x0, so that
x0 = x - sigma v. lipar cannot copy clean values after the solver, which belongs to the pipeline. Instead a pruned token
gets v = (x - x0') / sigma, where x0' is the clean value of the token that it repeats. A solver that works on predicted
clean values, such as Euler and UniPC, then arrives at x0', as if it had been copied there. Guidance combines velocities
linearly and keeps this.
"""

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.enabling.schedule import SchedulePoint
from lipar.layout import TokenLayout

SMALLEST_SIGMA = 1e-6
"""Divisor where sigma is 0; the quotient is not used there."""


@attrs.frozen(eq=False)
class NoisyTokens:
    """The input of a forward, with its noise level."""

    values: Float[Tensor, "b places d"]
    """Noisy latents; features in the order of the model's output."""
    sigma: Float[Tensor, "b_or_1 places_or_1 1"]
    """1 is pure noise, 0 is clean."""


def noisy_tokens(values: Float[Tensor, "b places d"], timestep: Tensor, point: SchedulePoint) -> NoisyTokens:
    """The input of a forward, with the noise level of each token.

    Args:
        values: noisy latents as tokens.
        timestep: `b`, or `b places` where each token has its own (Wan 2.2 TI2V); 0 is clean.
        point: where the forward is in its schedule.
    """
    levels = timestep.float().reshape(timestep.shape[0], -1, 1)
    # the scheduler's sigma is exact, timesteps may have been rounded: they only give the ratio between tokens
    unit = 1000.0 if point.rounded else levels.amax().clamp(min=1e-9) / point.sigma
    return NoisyTokens(values, levels / unit)


def predicted_clean(noisy: NoisyTokens, velocity: Float[Tensor, "b places d"]) -> Float[Tensor, "b places d"]:
    """The clean values that a velocity leads to: x0 = x - sigma v, in float32."""
    return noisy.values.float() - noisy.sigma * velocity.float()


def velocity_to(
    clean: Float[Tensor, "b places d"], noisy: NoisyTokens, velocity: Float[Tensor, "b places d"]
) -> Float[Tensor, "b places d"]:
    """The velocity that leads to these clean values: (x - x0) / sigma.

    Args:
        clean: where each token is to end.
        noisy: where it is.
        velocity: what tokens with sigma = 0 get; gives the dtype of the result.
    """
    led = (noisy.values.float() - clean) / noisy.sigma.clamp(min=SMALLEST_SIGMA)
    return torch.where(noisy.sigma > 0, led, velocity.float()).to(velocity.dtype)


def with_kept(
    velocity: Float[Tensor, "b places d"], layout: TokenLayout, kept: Float[Tensor, "b n d"]
) -> Float[Tensor, "b places d"]:
    """Put what the model computed for kept tokens back in place, bit for bit; `velocity` is changed."""
    return velocity.index_copy_(1, layout.kept, kept)
