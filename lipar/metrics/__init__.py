"""Figures of finished videos: one file an idea. Pixels are RGB in [0, 1], `pixel_frames 3 height width`."""
