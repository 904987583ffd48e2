/* engine.h: what the files of this room share; nobody outside includes it. */
#ifndef ZL_FUSE_ENGINE_H
#define ZL_FUSE_ENGINE_H

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "runtime/base/err.h"
#include "runtime/base/layer.h"
#include "runtime/fuse/fuse.h"

/*
 * Theory of operation.
 *
 * call.c	reads a request out of the guest's memory, writes its reply
 * dispatch.c	the table of operations; checks what all of them have in common
 * fuse.c	the engine's life, INIT, STATFS, FORGET
 * ops_*.c	the operations: protocol only, no word about where files lie
 * place.c	mount points that are made unasked
 * node.c	what the guest knows: nodes, found by id and by host file
 * folder.c	descriptors of folders, opened when needed, a bounded number
 * file.c	descriptors of files, the same; handles
 * list.c	merged and sorted lists of a folder's names, with stable cookies
 * meta.c	owner, mode and kind beside the file (base/layer.h)
 * union*.c	the union of layers and upper; knows no FUSE
 * bind.c	a folder of the host
 * window.c	files' pages mapped into the guest (DAX)
 *
 * A node is one file as the guest knows it; however many names the file has.
 * It holds no descriptor but remembers a place: a parent and a name, from
 * which it can be opened again, one component at a time, without following
 * links. A union is opened without OPEN and OPENDIR at all: READ and WRITE
 * name a node, and descriptors come from a cache; so the guest has as many
 * open files as it likes, and a file that is copied up in the middle is
 * simply opened anew. A bind has handles, since others change it.
 *
 * One lock guards everything but the descriptors' data. It is dropped while
 * data is moved, synced or copied up. Descriptors of folders handed out by
 * folder_*() are borrowed: valid while the lock is held without interruption.
 */

#define FUSE_NAME_LEN_MAX 255
/* Most layers of one union. */
#define LAYERS_MAX 512
/* Longest lower path of a renamed folder; longer ones are refused with EXDEV. */
#define REDIRECT_MAX 2048
/* Most nodes of one engine. */
#define NODES_MAX (8U << 20)

struct fuse;
struct node;
struct share;
struct ofile;
struct listing;

/* A doubly linked list; a head is a link by itself. */
struct link {
	struct link *prev, *next;
};

static inline void link_init(struct link *l)
{
	l->prev = l->next = l;
}

static inline bool link_listed(const struct link *l)
{
	return l->next != l;
}

static inline void link_del(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

/* Moves l (listed or not) to the head's front. */
static inline void link_front(struct link *head, struct link *l)
{
	link_del(l);
	l->next = head->next;
	l->prev = head;
	head->next->prev = l;
	head->next = l;
}

#define container(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

/* --- nodes */

/* In struct node.where: in the upper folder (unions), or not in a layer (binds). */
#define WHERE_UPPER 0xffff

enum place {
	PLACE_NAME,   /* `name` in `parent` */
	PLACE_INDEX,  /* union: the share's index folder, by `ino` */
	PLACE_ORPHAN, /* union: no name any more; in the share's orphan folder, by `id` */
	PLACE_PINNED, /* no name any more; `file` or the folder's fd is kept */
	PLACE_LOST,   /* no name any more, and nothing kept */
};

struct node {
	uint64_t id;	  /* the guest's nodeid; never used twice */
	uint64_t ino;	  /* the inode number shown, constant */
	uint64_t hino;	  /* the file on the host ... */
	uint64_t birth;	  /* ... and its birth time (binds) */
	uint64_t nlookup; /* references the guest holds */
	struct node *id_next, *host_next;
	struct share *share; /* NULL: the engine's own root */
	struct node *parent; /* referenced */
	char *name;
	struct folder *folder;	/* folders only */
	struct ofile *file;	/* cached or pinned; may be NULL */
	struct handle *handles; /* binds: open ones */
	uint32_t refs;		/* children, calls under way, the engine's own */
	uint32_t hdev;		/* union: `where`; bind: index of the host's device */
	uint16_t where;		/* union: layer, or WHERE_UPPER */
	uint16_t type;		/* S_IFMT bits */
	uint16_t mapped;	/* ranges of the window that show it ... */
	uint16_t writable;	/* ... and that the guest may write to */
	uint8_t place;
	bool busy; /* is being copied up: its name must not change */
	bool gone; /* its last name known to us was removed */
};

struct node_table {
	struct node **slot;
	size_t size, n; /* size is a power of two */
};

struct node *node_by_id(struct fuse *f, uint64_t id);
struct node *node_by_host(struct fuse *f, const struct share *s, uint32_t hdev, uint64_t hino,
			  uint64_t birth);
/* A new node with no references but the caller's one; name is copied. NULL: too many. */
struct node *node_new(struct fuse *f, struct share *s, struct node *parent, const char *name,
		      uint32_t type, uint32_t hdev, uint64_t hino, uint64_t birth);
void node_get(struct node *n);
/* May free it, and its parents. */
void node_put(struct fuse *f, struct node *n);
/* The guest gives back `count` of its references. */
void node_forget(struct fuse *f, struct node *n, uint64_t count);
/* Gives it (another) name. */
void node_place(struct fuse *f, struct node *n, struct node *parent, const char *name);
/* It is another file of the host's from now on. */
void node_rekey(struct fuse *f, struct node *n, uint32_t hdev, uint64_t hino);
/* Whether `up` is n or above it. */
bool node_is_above(const struct node *up, const struct node *n);
void nodes_free(struct fuse *f);

/* --- folders: descriptors of a folder's parts */

struct part {
	uint16_t layer;
	int fd;
};

struct folder {
	struct node *node;
	struct link lru; /* listed while something of it can be dropped */
	uint64_t epoch;	 /* the locked section it was last used in */
	struct listing *listing;
	char *redirect; /* its path in the layers, where that is not its parent's + name */
	int fd;		/* union: the upper part; bind: an O_PATH one */
	bool upper;	/* there is an upper part (binds: always) */
	bool kept;	/* fd must not be closed: a share's root, or a removed folder */
	unsigned nparts;
	struct part part[]; /* topmost first */
};

struct folder *folder_new(struct node *n, const uint16_t *layers, unsigned nparts);
void folder_free(struct fuse *f, struct folder *d);
/* The upper part (binds: the folder): a borrowed descriptor or -errno. */
int folder_fd(struct fuse *f, struct node *n);
/* Its i-th part in a layer: a borrowed descriptor or -errno. */
int folder_part(struct fuse *f, struct node *n, unsigned i);
/* Its part in this layer, or the upper one (WHERE_UPPER). */
int folder_layer(struct fuse *f, struct node *n, uint16_t layer);
/* Hands over an open descriptor of the upper part / of a layer's part. */
void folder_give_fd(struct fuse *f, struct folder *d, int fd);
void folder_give_part(struct fuse *f, struct folder *d, unsigned i, int fd);
/* Its names changed; one went; one is in the upper part now. */
void folder_changed(struct fuse *f, struct node *n);
void folder_name_gone(struct node *n, const char *name);
void folder_name_up(struct node *n, const char *name);
/* Its merged names, kept until they change; borrowed as descriptors are. -errno. */
int folder_list(struct fuse *f, struct node *n, struct listing **l);
/* The folder's path in the layers ("/a/b"), for a redirect; false: too long. */
bool folder_lower_path(const struct node *n, char *buf, size_t size);
/* A descriptor of `path` ("/a/b") below the layer's root; owned by the caller, or -errno. */
int folder_open_lower(const struct share *s, unsigned layer, const char *path);

/* --- files */

struct ofile {
	atomic_uint refs;
	int fd;
	bool writable;
	struct node *node; /* in whose cache it is */
	struct link lru;
};

struct handle {
	uint64_t id;
	struct node *node; /* referenced */
	struct ofile *file;
	struct listing *listing; /* folders */
	struct handle *next;	 /* of the same node */
};

struct handle_table {
	struct handle **slot;
	uint32_t *gen;
	uint32_t size, used, hint;
};

struct ofile *ofile_new(int fd, bool writable);
struct ofile *ofile_get(struct ofile *o);
void ofile_put(struct ofile *o);
/* Puts o into the node's cache in place of what is there (takes the reference). */
void file_cache(struct fuse *f, struct node *n, struct ofile *o);
/* The cached one with a reference more, or NULL. */
struct ofile *file_cached(struct fuse *f, struct node *n);
void file_uncache(struct fuse *f, struct node *n);
/* Keeps o for a node without a name; -ENFILE when too many are kept. Takes the reference. */
int file_pin(struct fuse *f, struct node *n, struct ofile *o);
void file_unpin(struct fuse *f, struct node *n);
/* NULL: too many. Takes the reference to o (may be NULL). */
struct handle *handle_new(struct fuse *f, struct node *n, struct ofile *o);
struct handle *handle_find(struct fuse *f, uint64_t id);
void handle_free(struct fuse *f, struct handle *h);
void handles_free(struct fuse *f);

/* --- lists of names */

#define LIST_COOKIE_DOT	   1
#define LIST_COOKIE_DOTDOT 2
#define LIST_COOKIE_FIRST  3

struct list_entry {
	uint64_t cookie; /* the order, and where a READDIR goes on */
	uint32_t name;	 /* offset in names */
	uint16_t rank;	 /* of the topmost part that has it: 0 upper, 1 + i a layer's part */
	uint16_t dead;
};

struct listing {
	struct list_entry *v;
	size_t n, cap;
	char *names;
	size_t names_len, names_cap;
};

struct listing *listing_new(void);
void listing_free(struct listing *l);
size_t listing_bytes(const struct listing *l);
/* Adds a folder's names; fd is not consumed. -ENOMEM past LISTING_NAMES_MAX. */
int listing_read(struct listing *l, int fd, uint16_t rank);
void listing_add(struct listing *l, const char *name, uint16_t rank);
/* Sorts, keeps the topmost of equal names, gives out cookies. */
void listing_finish(struct listing *l);
/* The first entry with a cookie above `after`; n if there is none. */
size_t listing_after(const struct listing *l, uint64_t after);
void listing_remove(struct listing *l, const char *name);
void listing_rank(struct listing *l, const char *name, uint16_t rank);

/* --- shares */

/* What the guest is told of a file. */
struct attr {
	uint64_t ino, size, blocks;
	struct timespec atime, mtime, ctime;
	uint32_t mode, nlink, uid, gid, rdev_major, rdev_minor, blksize;
};

/* What is made: by CREATE, MKNOD, MKDIR, SYMLINK, TMPFILE. */
struct make {
	uint32_t mode; /* with type */
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	const char *target; /* of a symlink */
	int flags;	    /* CREATE: open flags */
};

/* What SETATTR changes: FATTR_* bits in valid. */
struct change {
	uint32_t valid;
	uint32_t mode, uid, gid;
	uint64_t size;
	struct timespec atime, mtime; /* UTIME_NOW allowed */
	struct ofile *file;	      /* the handle it came by, or NULL */
};

/*
 * All are called with the engine's lock held and a reference to each node;
 * they may drop the lock in between. Nodes handed out carry a reference for
 * the caller. Names are single components, neither empty nor . nor ..
 */
struct share_ops {
	/* Makes the root's node (at start, and after a reset). */
	int (*root)(struct fuse *f, struct share *s);
	void (*close)(struct share *s);
	/* node may be NULL: then only attr is wanted. rank: where to begin (listing), 0: all. */
	int (*lookup)(struct fuse *f, struct node *dir, const char *name, unsigned rank,
		      struct node **node, struct attr *a);
	int (*getattr)(struct fuse *f, struct node *n, struct attr *a);
	int (*setattr)(struct fuse *f, struct node *n, const struct change *c, struct attr *a);
	ssize_t (*readlink)(struct fuse *f, struct node *n, char *buf, size_t size);
	/* name NULL: a file without a name (TMPFILE). o: CREATE's, open; may be NULL. */
	int (*make)(struct fuse *f, struct node *dir, const char *name, const struct make *m,
		    struct node **node, struct attr *a, struct ofile **o);
	int (*remove)(struct fuse *f, struct node *dir, const char *name, bool folder);
	int (*rename)(struct fuse *f, struct node *from, const char *name, struct node *to,
		      const char *newname, unsigned flags);
	int (*link)(struct fuse *f, struct node *n, struct node *dir, const char *name,
		    struct attr *a);
	/* A regular file for reading or writing: a reference. flags: O_ACCMODE, O_TRUNC, O_APPEND.
	 */
	int (*open)(struct fuse *f, struct node *n, int flags, struct ofile **o);
	int (*list)(struct fuse *f, struct node *dir, struct listing *l);
	ssize_t (*getxattr)(struct fuse *f, struct node *n, const char *name, void *buf,
			    size_t size);
	ssize_t (*listxattr)(struct fuse *f, struct node *n, char *buf, size_t size);
	int (*setxattr)(struct fuse *f, struct node *n, const char *name, const void *value,
			size_t size, int flags);
	int (*removexattr)(struct fuse *f, struct node *n, const char *name);
	/* Clears setuid and setgid (the latter where the group may execute). */
	int (*killpriv)(struct fuse *f, struct node *n, struct ofile *o);
	/* A descriptor for fsync of a folder, the caller's; -ENOENT: nothing to sync. */
	int (*syncfd)(struct fuse *f, struct node *dir);
};

extern const struct share_ops union_ops, bind_ops;

struct share {
	const struct share_ops *ops;
	char *name;
	struct node *root;
	bool is_union, read_only;
	/* unions */
	unsigned nlayers;
	int *layer_fd;
	uint32_t *layer_dev; /* index of its device */
	int upper_fd;	     /* -1: none */
	uint32_t upper_dev;
	int tmp_fd, orphan_fd, index_fd; /* below <upper>.work */
	bool index_used;
	uint64_t seq;	       /* for names in tmp */
	bool dax;	       /* its files may be mapped into the guest */
	bool fits_known, fits; /* window_fits */
	/* binds */
	int bind_fd;
	char *only;
};

/* What is done after the lock is dropped: closing and removing can take long. */
struct chore {
	struct chore *next;
	int close_fd;  /* -1: none */
	int unlink_at; /* -1: none; borrowed */
	char name[32];
};

#define DEVS_MAX 256

struct fuse {
	pthread_mutex_t lock;
	pthread_cond_t copied; /* some node is no longer busy */
	pthread_cond_t idle;   /* some call has ended */
	unsigned active;       /* calls under way */
	uint64_t epoch;	       /* number of the locked section */
	struct share *share;
	unsigned nshares;
	struct fuse_place *places; /* to be made in the first share */
	bool is_union;		   /* caching is for ever */
	bool root_user;
	bool started;	   /* INIT was seen */
	bool open_less;	   /* OPEN is answered ENOSYS: not needed */
	bool opendir_less; /* the same of OPENDIR */
	bool setxattr_ext;
	uint32_t uid, gid; /* of this process */
	uint64_t next_id;
	struct node_table by_id, by_host;
	struct node *root;
	struct handle_table handles;
	struct link folders, files; /* least recently used last */
	unsigned nfolder_fds, nfiles, npins;
	unsigned max_folder_fds, max_files, max_pins, max_handles;
	size_t listing_bytes;
	uint64_t devs[DEVS_MAX];
	unsigned ndevs;
	struct fuse_window window; /* size 0: none */
	struct window_range *ranges;
	bool dax; /* the guest uses the window */
	struct chore *chores;
	atomic_uint_least64_t bytes_read, bytes_written;
};

/* --- the window (window.c): all under the lock */

/* Whether a share's files can be mapped: those that are written must keep the blocks they have. */
bool window_fits(struct share *s);
/* Whether the guest is to map this file instead of reading it. */
bool window_wanted(const struct fuse *f, const struct node *n, uint64_t size);
/* n was copied up, o is its file now: what the guest has mapped changes over to it. */
void window_moved(struct fuse *f, struct node *n, const struct ofile *o);
/* n, open as fd, is to become `size` bytes long: its writable ranges get their blocks. -errno. */
int window_back(struct fuse *f, struct node *n, int fd, uint64_t size);
/* Nothing is mapped any more. */
void window_clear(struct fuse *f);

void fuse_lock(struct fuse *f);
void fuse_unlock(struct fuse *f);
/* Drops the lock, waits until some copying ended, takes it again. */
void fuse_wait_copied(struct fuse *f);
void chore_close(struct fuse *f, int fd);
void chore_unlink(struct fuse *f, int dirfd, const char *name);
/* A small number for a device of the host's. */
uint32_t fuse_dev_index(struct fuse *f, uint64_t dev);
/* The inode number shown for a host file: unique over all shares. */
uint64_t fuse_ino(uint32_t dev_index, uint64_t ino);

int union_open_share(struct fuse *f, struct share *s, const char *const *layers, unsigned nlayers,
		     const char *upper, bool look, struct err *e);
int bind_open_share(struct fuse *f, struct share *s, const char *path, const char *only,
		    const char *below, struct err *e);

#endif
