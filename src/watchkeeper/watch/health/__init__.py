"""How a running job is doing."""
