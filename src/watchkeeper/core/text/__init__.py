"""Text: figures for people, bytes that are not UTF-8, secrets, time zones."""
