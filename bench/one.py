"""One way in a process of its own, once: what `memory` and `startup` run.

    python -m bench.one WAY FOLDER [BUNDLE]

Prints a JSON object with the most memory that the process held, in bytes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

PER_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


def peak(status: Path = Path("/proc/self/status")) -> int:
    """Return the most memory in bytes that this process has held.

    On Linux its own high-water mark: ru_maxrss is at least what the process that started it held.
    """
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PER_UNIT


def main(name: str, folder: Path, bundle: str | None) -> None:
    """Do a way once and print what it took."""
    from bench.ways import WAYS, Setting
    from trapsort.bundle import load_bundle

    paths = sorted(folder.iterdir())
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trapsort-bench-")))
        way = WAYS[name](Setting(folder, paths, load_bundle(bundle), scratch, stack))
        if way.run is None:
            print(json.dumps({"missing": way.missing}))
            return
        way.prepare()
        way.run()
        print(json.dumps({"peak": peak(), "images": way.images, "name": way.name}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
