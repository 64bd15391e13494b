"""Who decides when a job starts: local, slurm; and the wrapper that every job runs in."""
