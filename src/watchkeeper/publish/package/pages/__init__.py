"""The texts of a package: its card, its training log, what the Hub reads."""
