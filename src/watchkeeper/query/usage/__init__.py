"""What jobs asked for against what they used, nodes that fail, and GPU-hours."""
