"""The chain of a run's events as others can check it: its heads, its public form, single fields."""
