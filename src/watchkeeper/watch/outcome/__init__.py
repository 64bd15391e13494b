"""What a finished job left: losses, checkpoints, its W&B run, what it used."""
