"""The documents of an experiment's own checkpoints."""
