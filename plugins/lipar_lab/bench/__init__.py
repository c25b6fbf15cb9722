"""`lipar bench`: what pruning costs and saves at the shapes of real models, with random weights.

Every figure that compares is a ratio of runs that were interleaved, given with its spread, so that a busy machine
makes the spread wide rather than the figure wrong.
"""

SECTIONS = ("overhead", "sweep", "forward", "pipeline", "mask", "autoencoder", "memory", "syncs", "profile")
"""What can be measured."""
