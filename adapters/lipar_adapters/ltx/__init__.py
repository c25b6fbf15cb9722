"""LTX-Video (https://arxiv.org/abs/2501.00103) in diffusers: what `lipar.enable` needs to know of it."""
