"""In what runs differ: settings, code, data, environment, machine; and the figures beside it."""
