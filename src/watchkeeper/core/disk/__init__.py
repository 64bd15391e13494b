"""Files as they lie on a disk: written whole, read within bounds, kept while the disk hangs, and
owned by somebody.
"""
