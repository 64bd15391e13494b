"""What these commands do: a module each, imported when the command is called."""
