"""What a checkpoint is, and who vouched for it."""
