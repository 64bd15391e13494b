"""What private details look like: each module finds those of its kind in a text."""
