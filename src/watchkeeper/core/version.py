"""The version of this software, written down once: pyproject.toml reads it from here."""

__version__ = "0.1.0"

# As the `opened` event of a journal names it.
SOFTWARE = f"watchkeeper {__version__}"

# The folder of the installed package. No pathlib here: whoever asks for the version alone pays for
# no import.
PACKAGE = __file__.rpartition("/core/")[0]
