"""Decoding only the regions of a frame whose latents changed; everything else keeps its last picture."""
