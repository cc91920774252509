"""Model → smaller model: fewer bits a weight, fewer weights, or a small model taught by a large."""
