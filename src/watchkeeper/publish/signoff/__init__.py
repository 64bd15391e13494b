"""The sign-off of a checkpoint: who vouched for which bytes, when, and with which verdict."""
