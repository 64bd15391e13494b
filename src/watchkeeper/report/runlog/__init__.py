"""Run logs in Markdown, read without loss."""
