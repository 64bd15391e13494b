"""Commands that start work, watch it or end it."""
