"""`python -m spinecast` is the command line."""

from spinecast.cli import main

main()
