"""The tensors in weight files, read from their headers. Nothing is loaded and nothing is run."""
