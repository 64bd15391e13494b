"""What an experiment is: its runs and evaluations, read from a summary or from the folder tree."""
