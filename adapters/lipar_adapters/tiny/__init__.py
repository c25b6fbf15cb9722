"""The bundled tiny model: a small causal video diffusion transformer with its own autoencoder and text encoder."""
