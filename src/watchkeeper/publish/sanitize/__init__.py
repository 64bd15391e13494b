"""What is private in a text, and how it is hidden before the text leaves the cluster."""
