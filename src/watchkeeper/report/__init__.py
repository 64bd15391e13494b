"""Pure functions: views of the journal, and the documents that people keep beside it."""
