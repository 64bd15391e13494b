"""What makes a change to a journal show: a hash of each event, and a chain of these hashes."""
