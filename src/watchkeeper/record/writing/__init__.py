"""What a run writes: rows, tables, the text log, manifests."""
