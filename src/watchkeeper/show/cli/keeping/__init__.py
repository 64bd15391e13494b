"""What `run`, `submit`, `watch` and `resume` share: what they are about, a keeper, and the table at the end."""
