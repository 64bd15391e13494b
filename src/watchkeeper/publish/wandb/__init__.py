"""Runs of Weights & Biases: what `wandb` left on disk, read without its server."""
