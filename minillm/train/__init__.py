"""Batches become a checkpoint: optimizers, precision, checkpoints and the one loop (notebook 07)."""
