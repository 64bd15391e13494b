"""Run logs in Markdown, composed from the journal."""
