"""Wan transformers of diffusers: the seam through which lipar prunes them, and causal models built on it."""
