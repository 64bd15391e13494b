"""A run's configuration as JSON, bounded and without secrets."""
