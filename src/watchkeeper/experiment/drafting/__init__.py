"""Writing a first summary: for the scripts that are there, or for a sweep."""
