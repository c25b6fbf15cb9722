"""Which tokens of a block are computed: distances, refiners, thresholds, scenes."""
