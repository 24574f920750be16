"""mounts: the kernel's table, read without being misled by names or by what lies on top."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trapsort.mounts import mount_of, mount_table, mounts, mounts_below, shares_of


def line(point: object, kind: str = "vfat") -> str:
    name = str(point).replace("\\", "\\134").replace(" ", "\\040")
    return f"36 35 98:0 / {name} rw,noatime master:1 - {kind} /dev/sdb1 rw\n"


def test_mounts_below_reads_octal_names_and_no_neighbours() -> None:
    points = ["/", "/media", "/media/my cards/A", "/media/my cards2", "/media/my"]
    table = "".join(map(line, points))
    assert [mount.point for mount in mounts_below("/media/my cards", table)] == [points[2]]
    assert [mount.point for mount in mounts_below("/media", table)] == points[1:]
    assert [mount.point for mount in mounts_below("/", table)] == points


def test_a_path_lies_on_the_nearest_mount_and_the_one_on_top() -> None:
    table = line("/", "ext4") + line("/media/a", "vfat") + line("/media/a", "exfat")
    kinds = {path: mount_of(path, table) for path in ("/media/a/DCIM", "/media/ab", "/")}
    assert {path: mount.kind for path, mount in kinds.items() if mount} == {
        "/media/a/DCIM": "exfat",
        "/media/ab": "ext4",
        "/": "ext4",
    }
    assert mount_of("/media", "") is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs")),
        *((kind, False) for kind in ("ext4", "vfat", "exfat", "fuseblk", "ntfs3", "nfsd", "fuse")),
    ],
)
def test_shares_are_known_by_their_kind(tmp_path: Path, kind: str, expected: bool) -> None:
    table = line("/", "ext4") + line(tmp_path, kind)
    (tmp_path / "a").mkdir()
    for root in (tmp_path / "a", tmp_path, tmp_path.parent):  # on it, it, around it
        assert [share.kind for share in shares_of(root, table)] == [kind] * expected
    assert shares_of(tmp_path / "a", table + line(tmp_path / "a", "vfat")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machines_table_has_a_root() -> None:
    assert "/" in {mount.point for mount in mounts(mount_table())}
