"""The script around the user's script: it runs an attempt at most once and records how it ended."""
