"""The rules of run logs."""
