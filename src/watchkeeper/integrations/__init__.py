"""One thin file for each training or evaluation library; a library is imported with its own file
only.
"""
