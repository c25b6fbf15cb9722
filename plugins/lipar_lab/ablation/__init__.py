"""Ablation of recovery strategies: the same clips, seeds and keep masks under every strategy, paired statistics."""
