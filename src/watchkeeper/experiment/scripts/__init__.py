"""Scripts that were submitted as they lie: each is a run of the experiment that its folder is."""
