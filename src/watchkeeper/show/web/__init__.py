"""The views in a browser: a server on this machine that reads and never writes. See `app`."""
