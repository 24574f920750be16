"""`python -m trapsort`: the same as the command `trapsort`."""

import sys

from trapsort.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
