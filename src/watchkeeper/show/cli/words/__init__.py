"""Commands that change what is kept of runs: tags, notes, and what is put away."""
