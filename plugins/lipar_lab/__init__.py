"""The laboratory: benchmarks, ablations, comparisons and certificates, with their commands."""
