"""What `run`, `submit`, `watch`, `resume` share: their target, a keeper, the table at the end."""
