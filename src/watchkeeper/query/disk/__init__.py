"""What runs and checkpoints take on the disk, and what of it no further work needs."""
