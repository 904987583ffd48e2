/* layer.h: how a layer's or a container's files are stored on the host. */
#ifndef ZL_BASE_LAYER_H
#define ZL_BASE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Written by oci/unpack.c, read and written by runtime/fuse: the one format
 * of unpacked layers and of containers' upper folders. All of it works for
 * an ordinary user.
 *
 * A file's host mode is its guest mode's permission bits, without setuid,
 * setgid and sticky, and with 0600 (0700 for folders) added, so that we can
 * always read and write it. Times, size and content are the file's own.
 *
 *  - LAYER_XATTR_STAT, in the form of containers/storage's override_stat,
 *    "uid:gid:mode[:type]", says what the guest sees: uid and gid decimal,
 *    mode octal with all twelve bits (no file type bits), type one of "file"
 *    (default for regular files), "dir", "symlink", "pipe", "socket",
 *    "block-MAJOR-MINOR", "char-MAJOR-MINOR". It is absent where owner 0:0,
 *    the host's mode (low nine bits) and the host's type are the truth.
 *  - Kinds that cannot carry a user xattr (or be made without root) are
 *    regular files with a type in LAYER_XATTR_STAT: fifos, sockets and
 *    devices are empty files; a symlink that is not owned by 0:0 or has
 *    xattrs is a file holding its target. A symlink of 0:0 is a symlink.
 *  - A whiteout hides a name of the layers below: an empty file with type
 *    char-0-0 (overlayfs's convention for whiteouts). Whiteouts may be hard
 *    links of each other. A character device 0:0 of the guest's own (made by
 *    an overlayfs inside the guest) is the same with one byte of content.
 *  - LAYER_XATTR_OPAQUE = "y" on a folder hides all the layers below have in it.
 *  - LAYER_XATTR_IMPLIED = "y" on a folder: the layer has something in it, but says
 *    nothing of the folder itself (its root, mostly). Its owner, mode, times and
 *    xattrs are those of the topmost layer below that has it without this
 *    mark; its own (0755, 0:0) count if there is none.
 *  - The guest's extended attributes are stored with LAYER_XATTR_PREFIX in
 *    front of their name ("user.zl.security.capability").
 *  - LAYER_XATTR_ORIGIN, in uppers only: the inode number the guest knows a
 *    copied-up file by, decimal. For a file that has several names in its
 *    layer, ":N" follows: N of these still lie in layers (uncovered), and the
 *    file is to be found by its number in the index (below). On the upper's
 *    root it says that the root has been given its owner and mode.
 *  - LAYER_XATTR_REDIRECT, on folders in uppers only: the absolute path, in
 *    the tree the layers make without this upper, of the folder it merges
 *    with, in place of the one of its own path: it was renamed. A folder that
 *    has neither this nor LAYER_XATTR_OPAQUE merges with what its parent
 *    folder's counterparts have under its name.
 *
 * Beside an upper U lies the folder U.work, which belongs to it:
 *
 *	tmp/	what is being made; of no value
 *	orphan/	files without a name that were held open; of no value
 *	index/	N: a further hard link of the copied-up file with origin N, where
 *		that has several names in its layer: a file found in a layer
 *		under one of these names is this file now. It does not count as
 *		a link. N.lower: a symlink whose target is the decimal number of
 *		names the file N, not copied up, still has, some being removed
 *
 * Names are bytes, as in the archive.
 */
#define LAYER_XATTR_STAT     "user.containers.override_stat"
#define LAYER_XATTR_OPAQUE   "user.overlay.opaque"
#define LAYER_XATTR_IMPLIED  "user.containers.zl_implied"
#define LAYER_XATTR_PREFIX   "user.zl."
#define LAYER_XATTR_ORIGIN   "user.containers.zl_origin"
#define LAYER_XATTR_REDIRECT "user.containers.zl_redirect"

/* Longest text of LAYER_XATTR_STAT. */
#define LAYER_STAT_MAX 96

/* What the guest sees of a file's kind and owner. */
struct layer_stat {
	uint32_t uid, gid;
	uint32_t mode; /* S_IFMT type and all twelve permission bits */
	uint32_t rdev_major, rdev_minor;
};

/* The xattr's text into buf (LAYER_STAT_MAX bytes); its length. */
size_t layer_stat_format(char *buf, const struct layer_stat *st);
/*
 * The reverse. st->mode's type comes from the text, or, where the text has
 * none, from host_mode. False if it is malformed.
 */
bool layer_stat_parse(const char *text, size_t len, uint32_t host_mode, struct layer_stat *st);
/* The type a whiteout has. */
bool layer_stat_is_whiteout(const struct layer_stat *st);
/* The mode of the host's file that stands for st (type and permission bits). */
uint32_t layer_host_mode(const struct layer_stat *st);
/*
 * Whether a file of st needs LAYER_XATTR_STAT at all: false if what the host
 * file shows by itself is the truth.
 */
bool layer_stat_needed(const struct layer_stat *st);

#endif
