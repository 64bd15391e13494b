"""What a kind of job promises, and how to see whether it kept the promise."""
