"""What ends work or breaks into it: limits, signals, stacks, the interpreter's end."""
