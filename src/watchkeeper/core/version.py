"""The version of this software, written down once: pyproject.toml reads it from here."""

__version__ = "0.1.0"

# The folder of the installed package. No pathlib here: whoever asks for the version alone pays for
# no import.
PACKAGE = __file__.rpartition("/core/")[0]
