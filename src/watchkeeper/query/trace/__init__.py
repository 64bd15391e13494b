"""Where a figure comes from, link by link."""
