"""Commands that check, and make views again."""
