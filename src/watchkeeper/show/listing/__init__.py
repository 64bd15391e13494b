"""What `ls` shows: runs and experiments as tables that fit the terminal."""
