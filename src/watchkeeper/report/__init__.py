"""Views: pure functions of the journal."""
