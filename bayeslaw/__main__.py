"""`python -m bayeslaw`: the command line."""

from bayeslaw.cli import main

main()
