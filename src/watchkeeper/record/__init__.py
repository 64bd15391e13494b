"""What a process records of itself: a run's start, steps, metric rows, checkpoints and end."""
