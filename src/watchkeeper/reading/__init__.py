"""Reading what people wrote (YAML, Markdown, shell scripts, configurations) without running it."""
