"""The files that a run writes: where they may be, which run writes them, and what remains of an interrupted run."""
