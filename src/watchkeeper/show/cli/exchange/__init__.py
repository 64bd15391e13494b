"""Commands that take runs from other tools, and give runs to them."""
