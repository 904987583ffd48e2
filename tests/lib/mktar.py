#!/usr/bin/env python3
"""mktar.py: writes a tar from lines on stdin: KIND PATH MODE UID GID [REST], any path, kind or owner.

KIND: dir, file (REST: content), symlink and hardlink (REST: target), fifo, char and block
(REST: major minor), xattr (a file; REST: pax record KEY=VALUE), hole (a file of REST zero bytes).
"""
import io
import sys
import tarfile

KINDS = {
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
}


class Zeros(io.RawIOBase):
    """A file of n zero bytes."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def read(self, n=-1):
        n = self.left if n < 0 else min(n, self.left)
        self.left -= n
        return bytes(n)


def member(line):
    """The tar member that a line describes, and its content as a file."""
    kind, path, mode, uid, gid, *rest = line.split(" ", 5)
    rest = rest[0] if rest else ""
    info = tarfile.TarInfo(path)
    info.type = KINDS.get(kind, tarfile.REGTYPE)
    info.mode, info.uid, info.gid, info.mtime = int(mode, 8), int(uid), int(gid), 1700000000
    if kind in ("symlink", "hardlink"):
        info.linkname = rest
    elif kind in ("char", "block"):
        info.devmajor, info.devminor = map(int, rest.split())
    elif kind == "xattr":
        key, _, value = rest.partition("=")
        info.pax_headers = {key: value}
    elif kind == "hole":
        info.size = int(rest)
        return info, Zeros(info.size)
    elif kind == "file":
        info.size = len(rest.encode())
        return info, io.BytesIO(rest.encode())
    return info, None


def main():
    """Reads all lines, writes one tar."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for line in sys.stdin:
            tar.addfile(*member(line.rstrip("\n")))


main()
