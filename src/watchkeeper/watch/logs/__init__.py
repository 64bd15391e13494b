"""The logs that a watch keeps: the journal it writes, the action logs and the run logs."""
