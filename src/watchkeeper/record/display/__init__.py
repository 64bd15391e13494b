"""What a run shows while it works: bars, cadence, examples, the status file."""
