"""Which code is on the disk: what git knows, which files a script names, what is installed."""
