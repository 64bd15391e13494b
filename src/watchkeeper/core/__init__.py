"""Events, journal, fold and all writing of files: what everything else stands on."""
