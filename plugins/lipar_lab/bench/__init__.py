"""`lipar bench`: what pruning costs and saves at the shapes of real models, with random weights.

Every figure that compares is a ratio of runs that were interleaved, given with its spread, so that a busy machine
makes the spread wide rather than the figure wrong.
"""

SECTIONS = (
    "overhead",
    "sweep",
    "engines",
    "quantised",
    "forward",
    "pipeline",
    "mask",
    "budget",
    "end-to-end",
    "autoencoder",
    "memory",
    "syncs",
    "profile",
    "files",
)
"""What can be measured."""
LONG_ON_CPU = ("end-to-end",)
"""Those that a CPU takes long for, so that it measures them only where they are chosen."""
