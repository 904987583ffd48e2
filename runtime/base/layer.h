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
 *    char-0-0 (overlayfs's convention for whiteouts).
 *  - LAYER_XATTR_OPAQUE = "y" on a folder hides all the layers below have in it.
 *  - The guest's extended attributes are stored with LAYER_XATTR_PREFIX in
 *    front of their name ("user.zl.security.capability").
 *  - LAYER_XATTR_ORIGIN, in uppers only: the inode number the guest knows a
 *    copied-up file by, decimal.
 *
 * Names are bytes, as in the archive.
 */
#define LAYER_XATTR_STAT   "user.containers.override_stat"
#define LAYER_XATTR_OPAQUE "user.overlay.opaque"
#define LAYER_XATTR_PREFIX "user.zl."
#define LAYER_XATTR_ORIGIN "user.containers.zl_origin"

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
