"""The parts of a run's page, each from the run's own files."""
