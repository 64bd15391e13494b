"""Answers about experiments and runs, read from their journals and files. Nothing is written."""
