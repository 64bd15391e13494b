"""A run from its first event to its last, and the runs of this process that are between the two."""
