"""This machine as a scheduler."""
