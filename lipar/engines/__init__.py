"""How a denoising pass is run: eagerly, with compiled layers, or as a recorded CUDA graph."""
