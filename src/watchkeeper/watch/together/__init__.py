"""Several watches in one process."""
