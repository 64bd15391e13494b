"""Signatures with a person's own key, verified offline. What this needs beyond Watchkeeper is the
extra `trust`.
"""
