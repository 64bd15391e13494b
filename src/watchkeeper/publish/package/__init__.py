"""A package of a run: what is public of a checkpoint, staged in a folder and checked there."""
