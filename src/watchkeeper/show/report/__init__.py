"""The report: a page as one file that needs no network and no script to be read."""
