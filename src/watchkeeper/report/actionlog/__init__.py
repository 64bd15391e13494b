"""Action logs: their format, how events become blocks, and logs that others wrote."""
