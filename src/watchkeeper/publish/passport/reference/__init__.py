"""The reference test vector: recorded by a real forward pass in another process, and replayed."""
