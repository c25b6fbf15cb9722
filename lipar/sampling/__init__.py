"""Flow matching, Gaussian draws, step lists, and the passes over a block."""
