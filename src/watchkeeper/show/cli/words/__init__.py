"""Commands that add words to runs: tags and notes."""
