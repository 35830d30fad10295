"""`python -m tap_restextract` is the console script."""

from tap_restextract.cli.main import main

main()
