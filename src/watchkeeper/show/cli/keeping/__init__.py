"""What `run`, `submit`, `watch` and `resume` share: their target, a keeper, the table at the end."""
