"""The live screen of `top`: the terminal, its keys, what they do, and the looks that feed it."""
