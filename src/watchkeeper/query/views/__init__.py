"""What the views show: one object per page, made from folders alone. Nothing here writes."""
