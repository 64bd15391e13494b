"""Programs that make a forward pass. Each runs as a process of its own and is never imported."""
