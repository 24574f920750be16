"""What is mounted where, on Linux; elsewhere nothing is known and every answer is empty."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# File systems that others change too, while the kernel tells of its own changes only; one of
# `fuse.*` (sshfs, rclone, ...) may be another.
_SHARES = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|fuse\..+|gfs2|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|prl_fs"
    r"|smb3|smbfs|vboxsf|virtiofs|vmhgfs"
)


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the table: the folder where it is mounted and its kind of file system."""

    point: str
    kind: str
    line: str

    @property
    def is_share(self) -> bool:
        """Whether other machines may change it without the kernel of this one noticing."""
        return _SHARES.fullmatch(self.kind) is not None


def mount_table() -> str:
    """Return Linux's list of mounts, proc(5) mountinfo; empty where there is none."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def mounts(table: str) -> Iterator[Mount]:
    r"""Yield the mounts of a table.

    The fifth field is the mount point, with blanks and backslashes as octal `\040`; the kind of
    file system is the first field after the lone dash.
    """
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        raw = fields.split(" ", 5)[4]
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), raw)
        yield Mount(point, rest.partition(" ")[0], line)


def mounts_below(root: str, table: str) -> tuple[Mount, ...]:
    """Return the mounts at or below `root` (absolute, links resolved)."""
    return tuple(mount for mount in mounts(table) if _is_within(mount.point, root))


def mount_of(root: str, table: str) -> Mount | None:
    """Return the mount that `root` lies on; of several at one point the one on top."""
    around = (mount for mount in mounts(table) if _is_within(root, mount.point))
    return max(reversed(list(around)), key=lambda mount: len(mount.point), default=None)


def shares_of(root: Path, table: str) -> list[Mount]:
    """Return the network shares that `root` lies on or that are mounted below it."""
    real = os.path.realpath(root)
    own = mount_of(real, table)
    below = (mount for mount in mounts_below(real, table) if mount != own)
    return [mount for mount in (own, *below) if mount is not None and mount.is_share]


def _is_within(path: str, folder: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
