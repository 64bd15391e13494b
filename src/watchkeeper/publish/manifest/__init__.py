"""What a checkpoint's bytes are: its files, their sizes and their hashes."""
