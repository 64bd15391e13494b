"""Programs that make a forward pass. Each runs as its own process and is never imported."""
