"""Commands that make a package of a run, check it, and bring it elsewhere."""
