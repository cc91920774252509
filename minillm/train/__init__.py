"""Batches become a checkpoint: optimizer, precision, checkpoints, the one loop (notebook 07)."""
