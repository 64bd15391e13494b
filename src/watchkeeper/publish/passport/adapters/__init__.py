"""What each kind of checkpoint says of itself in its own files. Nothing of it is run."""
