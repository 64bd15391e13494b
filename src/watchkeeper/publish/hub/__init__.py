"""A package to the Hugging Face Hub and back, and the evidence that it arrived."""
