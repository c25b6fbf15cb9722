"""The files that a run writes: where, by whom, and what is left when it is interrupted."""
