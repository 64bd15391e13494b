"""Watchkeeper: submits each job once, watches it by evidence, writes down everything, never loses a row."""

__version__ = "0.1.0"
