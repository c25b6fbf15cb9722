"""The laboratory: analyses, benchmarks, ablations, comparisons, certificates and plans, with their commands."""

from lipar.plugin.commands import Commands
from lipar.plugin.markers import hookimpl


@hookimpl
def lipar_register_commands(commands: Commands) -> None:
    """Offer `analyze`, `compare`, `certify`, `ablate`, `bench` and `plan`."""
    commands.add(
        "analyze",
        "lipar_lab.analyze.command:analyze",
        help="Measure how redundant the latents of clips are.",
    )
    commands.add(
        "compare",
        "lipar_lab.compare.command:compare",
        help="Compare pruned with dense and with random pruning, on real clips.",
    )
    commands.add(
        "certify",
        "lipar_lab.certify.command:certify",
        help="Print bounds on the attention error of a pruned run, and the true error.",
    )
    commands.add(
        "ablate",
        "lipar_lab.ablation.command:ablate",
        help="Run the rows of a suite on the same clips, seeds and masks.",
    )
    commands.add(
        "bench",
        "lipar_lab.bench.command:bench",
        help="Measure what pruning costs and saves at the shapes of real models.",
    )
    commands.add(
        "plan",
        "lipar_lab.plan.command:plan",
        help="Predict what an edit computes, and its time and memory, before it runs.",
    )
