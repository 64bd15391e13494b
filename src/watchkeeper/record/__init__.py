"""The recorder: the part that runs inside the job's own process."""
