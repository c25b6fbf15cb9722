"""`lipar compare`: pruned, random and dense runs on real clips."""
