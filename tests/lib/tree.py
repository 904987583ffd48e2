#!/usr/bin/env python3
"""tree.py: trees to be compared entry by entry.

tree.py list DIR [all]: a line per file below DIR with what stat and listxattr say of it.
tree.py layers DIR: layers with files of every kind, each a tar: DIR/1.tar, DIR/2.tar ...
"""
import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile

# The time of a folder that no entry of any layer speaks of is when it was made. umoci gives such a
# time also to the root and to folders in which a later layer implies another.
UNTIMED = (b".", b"implied", b"implied/deep", b"hard", b"pair", b"pair2", b"dir-to-dir")
TIME = 1600000000


# --- lists


def kind(path, st):
    """What a file is beyond its mode."""
    if stat.S_ISREG(st.st_mode):
        with open(path, "rb") as f:
            return f"size={st.st_size} {hashlib.sha256(f.read()).hexdigest()[:12]}"
    if stat.S_ISLNK(st.st_mode):
        return f"size={st.st_size} -> {os.readlink(path)!r}"
    if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        return f"dev={os.major(st.st_rdev)}:{os.minor(st.st_rdev)}"
    return ""


def listing(root):
    """Prints all of a tree; files with several names have their first one's name in common."""
    first = {}
    for top, dirs, files in os.walk(root):
        dirs.sort()
        for name in ([b""] if top == root else []) + sorted(dirs + files):
            path = os.path.join(top, name)
            st = os.lstat(path)
            shown = os.path.relpath(path, root)
            words = [repr(shown), oct(st.st_mode), f"{st.st_uid}:{st.st_gid}", kind(path, st)]
            if shown not in UNTIMED or "all" in sys.argv:
                words.append(f"mtime={st.st_mtime_ns}")
            if not stat.S_ISDIR(st.st_mode):
                words.append(f"is={first.setdefault(st.st_ino, shown)!r}")
                words.append(f"links={st.st_nlink}")
            for key in sorted(os.listxattr(path, follow_symlinks=False)):
                words.append(f"{key}={os.getxattr(path, key, follow_symlinks=False)!r}")
            print(" ".join(words))


# --- layers


class Layer:
    """A tar that is being written."""

    def __init__(self, path, form):
        self.tar = tarfile.open(path, "w", format=form, errors="surrogateescape")

    def add(self, name, type=tarfile.REGTYPE, mode=0o644, data=b"", mtime=TIME, xattrs=(), **more):
        """An entry; more: fields of TarInfo."""
        info = tarfile.TarInfo(os.fsdecode(name))
        info.type, info.mode, info.mtime, info.size = type, mode, mtime, len(data)
        for field, value in more.items():
            setattr(info, field, value)
        info.pax_headers = {f"SCHILY.xattr.{k}": os.fsdecode(v) for k, v in xattrs}
        self.tar.addfile(info, io.BytesIO(data))

    def dir(self, name, mode=0o755, **more):
        """A folder."""
        self.add(name, tarfile.DIRTYPE, mode, **more)

    def link(self, name, target, type=tarfile.SYMTYPE, **more):
        """A link of either kind."""
        self.add(name, type, 0o777, linkname=os.fsdecode(target), **more)

    def hard(self, name, target):
        """A hard link."""
        self.link(name, target, tarfile.LNKTYPE)


CAPABILITY = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"


def every_kind(path):
    """The lowest layer: kinds, modes, owners, times, attributes."""
    t = Layer(path, tarfile.PAX_FORMAT)
    t.dir(".", 0o755, mtime=TIME + 0.125)
    for bits in (0o0, 0o444, 0o644, 0o755, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777):
        t.add(f"modes-{bits:o}", mode=bits, data=b"mode")
        t.dir(f"folder-{bits:o}", bits, uid=bits & 0o777, mtime=TIME + 0.25)
        t.add(f"folder-{bits:o}/in-it", uid=1, data=b"in")
    for n, (uid, gid) in enumerate(((1000, 0), (0, 100), (65534, 65534), (2**31, 2**32 - 2))):
        t.add(f"owned-{n}", uid=uid, gid=gid, mode=0o4750, uname="nosuch", gname="nosuch")
        t.link(f"link-owned-{n}", "anywhere", uid=uid, gid=gid, mtime=TIME + 0.5)
    for n, time in enumerate((0, 0.5, -100.5, -1, 2**32 + 5, TIME + 0.999999999)):
        t.add(f"time-{n}", mtime=time, data=b"time", xattrs=(("user.a", b"1"),))
        t.dir(f"time-folder-{n}", mtime=time)
        t.link(f"time-link-{n}", "../" * n + "x", mtime=time)
    # What a float cannot hold, as text.
    exact = tarfile.TarInfo("time-nanoseconds")
    exact.pax_headers = {"mtime": "1600000001.123456789"}
    t.tar.addfile(exact)
    t.add("capable", mode=0o755, data=b"#!", xattrs=(("security.capability", CAPABILITY),))
    t.add("coloured", xattrs=(("user.colour", b"blue"), ("user.empty", b""),
                              ("user.long", b"v" * 900), ("trusted.deep", b"x=y\nz")))
    t.dir("coloured-folder", 0o2775, gid=7, xattrs=(("user.colour", b"green"), ("security.my", b"d")))
    t.link("coloured-link", "nowhere", xattrs=(("trusted.deep", b"1"),))
    t.add("fifo", tarfile.FIFOTYPE, 0o4622, uid=3, xattrs=(("trusted.deep", b"2"),))
    t.add("null", tarfile.CHRTYPE, 0o666, devmajor=1, devminor=3, mtime=TIME + 0.75)
    t.add("disk", tarfile.BLKTYPE, 0o2660, gid=6, devmajor=259, devminor=70000)
    t.add("hard/a", data=b"hard", mode=0o4755, uid=9)
    t.hard("hard/b", "hard/a")
    t.hard("./c", "/hard/b")
    t.hard("hard/fifo", "fifo")
    t.link("hard/symlink", "a")
    t.hard("hard/symlink2", "hard/symlink")
    t.hard("hard/owned-symlink", "link-owned-0")
    t.add("implied/deep/file", data=b"x")
    t.add("twice", data=b"first", xattrs=(("user.first", b"1"),), mode=0o4755)
    t.add("twice", data=b"second one", mode=0o600)
    t.add("/rooted", data=b"r")
    t.add("old-folder/", tarfile.AREGTYPE, 0o755)
    t.tar.close()


def names(path, form):
    """Names of every length, and of every byte."""
    t = Layer(path, form)
    at = f"names-{form}"
    t.dir(at, mtime=TIME + form)
    for n in (99, 100, 101, 155, 156, 254, 255):
        t.add(f"{at}/" + "n" * n, data=b"%d" % n)
        t.link(f"{at}/" + "l" * n, "t" * n)
        t.hard(f"{at}/" + "h" * n, f"{at}/" + "n" * n)
    deep = at
    for n in range(8):
        deep += "/" + chr(ord("a") + n) * 200
        t.dir(deep, 0o711, uid=n)
    t.add(deep + "/file", data=b"deep")
    t.hard(deep + "/hard", deep + "/file")
    t.link(deep + "/link", deep)
    for name in (b"latin-\xe9", b"bytes-\x80\xff\xfe", "utf-8-\u00e9\u4e2d".encode(), b"space and\ttab",
                 b"line\nfeed", b"\x01\x7f", b"back\\slash", b"quote'\"", b"._mac", b"-dash", b"..dots"):
        t.add(at.encode() + b"/" + name, data=name)
        t.link(at.encode() + b"/l" + name, name)
    t.add(f"{at}/large-owner", uid=3000000, gid=4000000, data=b"x")
    t.add(f"{at}/large-time", mtime=2**33 + 7, data=b"x")
    t.tar.close()


def changes_below(path):
    """What the next layer changes."""
    t = Layer(path, tarfile.PAX_FORMAT)
    for n in range(1, 6):
        t.dir(f"c{n}", 0o750, uid=n, mtime=TIME + n + 0.5, xattrs=(("user.c", b"%d" % n),))
        t.add(f"c{n}/one", data=b"one", xattrs=(("user.one", b"1"),))
        t.add(f"c{n}/two", data=b"two")
        t.dir(f"c{n}/sub", 0o700)
        t.add(f"c{n}/sub/deep", data=b"deep")
    for a in ("file", "dir", "link", "dirlink", "fifo"):
        for b in ("file", "dir", "link", "fifo", "dev", "hard"):
            name = f"{a}-to-{b}"
            if a == "file":
                t.add(name, data=b"old", mode=0o4755, uid=5, xattrs=(("user.old", b"1"),))
            elif a == "dir":
                t.dir(name, 0o1777, uid=5, xattrs=(("user.old", b"1"),))
                t.add(name + "/old", data=b"old")
            elif a == "fifo":
                t.add(name, tarfile.FIFOTYPE, 0o600, uid=5)
            else:
                t.link(name, "c1" if a == "dirlink" else "nowhere", uid=5)
    t.add("pair/a", data=b"pair")
    t.hard("pair/b", "pair/a")
    t.hard("pair/c", "pair/a")
    for name in "bcd":
        t.hard(f"pair2/{name}", "pair/a")
    t.tar.close()


def changes(path):
    """Whiteouts, opaque folders, and kinds that become others."""
    t = Layer(path, tarfile.PAX_FORMAT)
    t.add("c1/.wh.one")
    t.add("c1/.wh.sub")
    t.add("c1/.wh.never-was")
    t.dir("c2", 0o711, uid=22, mtime=TIME + 0.0625, xattrs=(("user.new", b"2"),))
    t.add("c2/.wh..wh..opq")
    t.add("c2/three", data=b"three")
    t.add("c3/sub/new", data=b"of an opaque folder named last")
    t.add("c3/.wh..wh..opq")
    t.add("c4/one", data=b"another one", mode=0o600)
    t.add(".wh.c5")
    t.add("target", data=b"target")
    t.dir("c3/sub", 0o1711, uid=8, mtime=TIME + 3)
    for a in ("file", "dir", "link", "dirlink", "fifo"):
        t.add(f"{a}-to-file", data=b"new", mode=0o2755, gid=4)
        t.dir(f"{a}-to-dir", 0o2750, gid=4, mtime=TIME + 9)
        t.add(f"{a}-to-dir/new", data=b"new")
        t.link(f"{a}-to-link", "target", gid=4)
        t.add(f"{a}-to-fifo", tarfile.FIFOTYPE, 0o604, gid=4)
        t.add(f"{a}-to-dev", tarfile.CHRTYPE, 0o606, gid=4, devmajor=5, devminor=300)
        t.hard(f"{a}-to-hard", "target")
    t.tar.close()


def changes_again(path):
    """What was removed comes back, what was made is removed; folders are implied again."""
    t = Layer(path, tarfile.PAX_FORMAT)
    t.add("c1/one", data=b"back", uid=11)
    t.dir("c1/sub", 0o755, mtime=TIME + 5)
    t.add("c1/sub/other", data=b"o")
    t.add("c2/.wh.three")
    t.dir("c5", 0o700, uid=55)
    t.add("c5/.wh.two")
    t.add("c5/last", data=b"last")
    t.add(".wh.file-to-dir")
    t.add("dir-to-dir/sub/implied-file", data=b"x", mtime=TIME + 1)
    t.dir("dir-to-dir/sub", 0o750, mtime=TIME + 2)
    t.add(".wh.pair")
    t.add("pair2/b", data=b"another")
    t.tar.close()


def odd_links(path):
    """Links whose targets are in pax records only: nothing in them is ASCII."""
    t = Layer(path, tarfile.PAX_FORMAT)
    for n, (name, kind) in enumerate((("\u65e5", b"0"), ("odd-link", b"2"), ("odd-hard", b"1"))):
        key = b"path" if kind == b"0" else b"linkpath"
        record = b" " + key + b"=\xe6\x97\xa5\n"
        record = b"%d" % (len(record) + 2) + record
        info = tarfile.TarInfo("pax")
        info.type, info.size = b"x", len(record)
        t.tar.addfile(info, io.BytesIO(record))
        info = tarfile.TarInfo(f"plain-{n}" if kind == b"0" else name)
        info.type = kind
        t.tar.fileobj.write(info.tobuf(tarfile.USTAR_FORMAT))
        t.tar.offset += tarfile.BLOCKSIZE
    t.tar.close()


def sparse(folder, number):
    """Files with holes, in each of the forms that GNU tar has."""
    work = os.path.join(folder, "sparse")
    os.makedirs(work)
    forms = ("gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1",
             "posix --sparse-version=1.0")
    for n, form in enumerate(forms):
        name = f"sparse-{n}"
        with open(f"{work}/{name}", "wb") as f:
            for at in range(0, 40 if n % 2 else 8):
                f.seek(at * 131072 + 65536)
                f.write(b"piece %d" % at)
            f.truncate(40 * 131072 + 12345)
        with open(f"{work}/{name}-empty", "wb") as f:
            f.truncate(1 << 20)
        tar = ["tar", "-C", work, "--owner=8", "--group=9", f"--mtime=@{TIME}", name, name + "-empty"]
        subprocess.run([*tar, "-S", *f"--format={form}".split(), "-cf", f"{folder}/{number + n}.tar"],
                       check=True)
    # umoci does not know the oldest form: the same without it.
    subprocess.run([*tar[:-2], "sparse-0", "sparse-0-empty", "-cf", f"{folder}/{number}.plain"],
                   check=True)


def layers(folder):
    """All layers, lowest first."""
    every_kind(f"{folder}/1.tar")
    names(f"{folder}/2.tar", tarfile.GNU_FORMAT)
    names(f"{folder}/3.tar", tarfile.PAX_FORMAT)
    changes_below(f"{folder}/4.tar")
    changes(f"{folder}/5.tar")
    changes_again(f"{folder}/6.tar")
    sparse(folder, 7)
    odd_links(f"{folder}/11.tar")


if sys.argv[1] == "list":
    listing(os.fsencode(sys.argv[2]))
else:
    layers(sys.argv[2])
