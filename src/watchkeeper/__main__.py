"""`python -m watchkeeper`."""

from watchkeeper.show.cli import main

main(prog_name="watchkeeper")
