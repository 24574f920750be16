"""The command `trapsort`, and `python -m trapsort`: hears SIGTERM before it imports the rest."""

from __future__ import annotations

import signal
import sys

WORKING = ("watch", "ingest")
"""Commands that SIGTERM ends well, with exit code 0, whenever it comes."""


def main() -> int:
    """Run the command line and return its exit code."""
    if any(name in sys.argv[1:] for name in WORKING):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until `stop_on_signals` hears it
    from trapsort.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
