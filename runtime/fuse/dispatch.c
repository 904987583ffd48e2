/* dispatch.c: the table of operations, and what all of them have in common. */
#include <errno.h>
#include <string.h>

#include "runtime/base/cursor.h"
#include "runtime/fuse/call.h"
#include "runtime/fuse/fuse.h"

#define ARG(t)	 .size = sizeof(struct t), .least = sizeof(struct t)
#define REPLY(t) .reply = sizeof(struct t)

/* What is not here is answered ENOSYS; the kernel then does without (locks stay in the guest). */
const struct op_row op_table[OP_MAX] = {
	[FUSE_LOOKUP] = { .fn = op_lookup, REPLY(fuse_entry_out), .names = NAMES_ONE, .any = true },
	[FUSE_FORGET] = { .fn = op_forget, ARG(fuse_forget_in), .no_node = true, .no_reply = true },
	[FUSE_GETATTR] = { .fn = op_getattr,
			   .size = sizeof(struct fuse_getattr_in),
			   REPLY(fuse_attr_out),
			   .any = true },
	[FUSE_SETATTR] = { .fn = op_setattr, ARG(fuse_setattr_in), REPLY(fuse_attr_out) },
	[FUSE_READLINK] = { .fn = op_readlink },
	[FUSE_SYMLINK] = { .fn = op_symlink, REPLY(fuse_entry_out), .names = NAMES_TARGET },
	[FUSE_MKNOD] = { .fn = op_mknod,
			 ARG(fuse_mknod_in),
			 REPLY(fuse_entry_out),
			 .names = NAMES_ONE },
	[FUSE_MKDIR] = { .fn = op_mkdir,
			 ARG(fuse_mkdir_in),
			 REPLY(fuse_entry_out),
			 .names = NAMES_ONE },
	[FUSE_UNLINK] = { .fn = op_unlink, .names = NAMES_ONE },
	[FUSE_RMDIR] = { .fn = op_rmdir, .names = NAMES_ONE },
	[FUSE_RENAME] = { .fn = op_rename, ARG(fuse_rename_in), .names = NAMES_TWO },
	[FUSE_RENAME2] = { .fn = op_rename2, ARG(fuse_rename2_in), .names = NAMES_TWO },
	[FUSE_LINK] = { .fn = op_link,
			ARG(fuse_link_in),
			REPLY(fuse_entry_out),
			.names = NAMES_ONE },
	[FUSE_OPEN] = { .fn = op_open, ARG(fuse_open_in), REPLY(fuse_open_out) },
	[FUSE_READ] = { .fn = op_read, ARG(fuse_read_in) },
	[FUSE_WRITE] = { .fn = op_write,
			 ARG(fuse_write_in),
			 REPLY(fuse_write_out),
			 .names = NAMES_OWN },
	[FUSE_STATFS] = { .fn = op_statfs, REPLY(fuse_statfs_out), .any = true },
	[FUSE_RELEASE] = { .fn = op_release, ARG(fuse_release_in), .no_node = true },
	[FUSE_FSYNC] = { .fn = op_fsync, ARG(fuse_fsync_in) },
	[FUSE_SETXATTR] = { .fn = op_setxattr, .names = NAMES_OWN },
	[FUSE_GETXATTR] = { .fn = op_getxattr,
			    ARG(fuse_getxattr_in),
			    .names = NAMES_XATTR,
			    .any = true },
	[FUSE_LISTXATTR] = { .fn = op_listxattr, ARG(fuse_getxattr_in), .any = true },
	[FUSE_REMOVEXATTR] = { .fn = op_removexattr, .names = NAMES_XATTR },
	[FUSE_INIT] = { .fn = op_init,
			.size = sizeof(struct fuse_init_in),
			.least = 16,
			REPLY(fuse_init_out),
			.no_node = true },
	[FUSE_OPENDIR] = { .fn = op_opendir, ARG(fuse_open_in), REPLY(fuse_open_out), .any = true },
	[FUSE_READDIR] = { .fn = op_readdir, ARG(fuse_read_in), .any = true },
	[FUSE_READDIRPLUS] = { .fn = op_readdirplus, ARG(fuse_read_in), .any = true },
	[FUSE_RELEASEDIR] = { .fn = op_releasedir, ARG(fuse_release_in), .no_node = true },
	[FUSE_FSYNCDIR] = { .fn = op_fsyncdir, ARG(fuse_fsync_in), .any = true },
	[FUSE_CREATE] = { .fn = op_create,
			  ARG(fuse_create_in),
			  .names = NAMES_ONE,
			  .reply = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out) },
	[FUSE_TMPFILE] = { .fn = op_tmpfile,
			   ARG(fuse_create_in),
			   .names = NAMES_OWN,
			   .reply = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out) },
	[FUSE_INTERRUPT] = { .fn = op_interrupt, .no_node = true, .no_reply = true },
	[FUSE_DESTROY] = { .fn = op_destroy, .no_node = true },
	[FUSE_BATCH_FORGET] = { .fn = op_batch_forget,
				ARG(fuse_batch_forget_in),
				.names = NAMES_OWN,
				.no_node = true,
				.no_reply = true },
	[FUSE_FALLOCATE] = { .fn = op_fallocate, ARG(fuse_fallocate_in) },
	[FUSE_LSEEK] = { .fn = op_lseek, ARG(fuse_lseek_in), REPLY(fuse_lseek_out) },
	[FUSE_COPY_FILE_RANGE] = { .fn = op_copy_file_range,
				   ARG(fuse_copy_file_range_in),
				   REPLY(fuse_write_out) },
	[FUSE_SETUPMAPPING] = { .fn = op_setupmapping, ARG(fuse_setupmapping_in) },
	[FUSE_REMOVEMAPPING] = { .fn = op_removemapping,
				 ARG(fuse_removemapping_in),
				 .names = NAMES_OWN,
				 .no_node = true },
	[FUSE_SYNCFS] = { .fn = op_syncfs, .no_node = true },
};

static int check_name(const char *name)
{
	size_t n = strlen(name);

	if (n > CALL_NAME_MAX)
		return -ENAMETOOLONG;
	if (n == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
		return -EINVAL;
	return 0;
}

/* The names that follow the fixed part, and nothing after them. */
static int take_names(struct call *c, enum call_names names)
{
	struct cur cur;
	int rc = 0;

	if (names == NAMES_NONE || names == NAMES_OWN)
		return 0;
	if (c->left > sizeof(c->tail))
		return -ENAMETOOLONG;
	cur = cur_of(c->tail, c->left);
	call_take(c, c->tail, c->left);
	if (!cur_cstr(&cur, &c->name))
		return -EINVAL;
	if ((names == NAMES_TWO || names == NAMES_TARGET) && !cur_cstr(&cur, &c->name2))
		return -EINVAL;
	if (cur_left(&cur))
		return -EINVAL;
	if (names == NAMES_XATTR)
		return *c->name == 0 || strlen(c->name) > CALL_NAME_MAX ? -ERANGE : 0;
	rc = check_name(c->name);
	if (rc == 0 && names == NAMES_TWO)
		rc = check_name(c->name2);
	if (rc == 0 && names == NAMES_TARGET && *c->name2 == 0)
		rc = -ENOENT;
	if (rc == 0 && names == NAMES_TARGET && strlen(c->name2) > CALL_LINK_MAX)
		rc = -ENAMETOOLONG;
	return rc;
}

/* Header and fixed part. 0 or -errno. */
static int parse(struct call *c, const struct op_row *row, size_t total)
{
	size_t ext = (size_t)c->h.total_extlen * 8, size;

	if (c->h.len < sizeof(c->h) || c->h.len > total)
		return -EINVAL;
	c->left = c->h.len - sizeof(c->h);
	c->out_at = sizeof(c->h);
	if (ext > c->left)
		return -EINVAL;
	c->left -= ext; /* extensions come last; none was asked for */
	if (c->left < row->least)
		return -EINVAL;
	size = c->left < row->size ? c->left : row->size;
	call_take(c, &c->arg, size);
	return take_names(c, row->names);
}

static int serve(struct call *c, const struct op_row *row)
{
	struct fuse *f = c->f;
	int rc;

	fuse_lock(f);
	if (!f->started && row->fn != op_init) {
		fuse_unlock(f);
		return row->no_reply ? CALL_NO_REPLY : -EINVAL;
	}
	if (!row->no_node) {
		c->node = node_by_id(f, c->h.nodeid);
		if (c->node == NULL) {
			fuse_unlock(f);
			return -ESTALE;
		}
		node_get(c->node);
	}
	f->active++;
	if (c->node && c->node->share == NULL && !row->any)
		rc = -EROFS;
	else
		rc = row->fn(c);
	if (c->node)
		node_put(f, c->node);
	f->active--;
	pthread_cond_broadcast(&f->idle);
	fuse_unlock(f);
	return rc;
}

ssize_t fuse_handle(struct fuse *f, const struct iovec *out, int nout, const struct iovec *in,
		    int nin)
{
	struct call c;
	size_t total = iov_length(out, nout), room = iov_length(in, nin);
	struct fuse_out_header reply = { 0 };
	const struct op_row *row = NULL;
	int rc;

	memset(&c, 0, offsetof(struct call, tail));
	if (total < sizeof(c.h))
		return -EPROTO;
	c.f = f;
	c.out = out;
	c.nout = nout;
	c.in = in;
	c.nin = nin;
	iov_get(out, nout, 0, &c.h, sizeof(c.h));
	if (c.h.opcode < OP_MAX && op_table[c.h.opcode].fn)
		row = &op_table[c.h.opcode];
	if ((row == NULL || !row->no_reply) && room < sizeof(reply))
		return -EPROTO;
	c.room = room < sizeof(reply) ? 0 : room - sizeof(reply);
	rc = row ? parse(&c, row, total) : -ENOSYS;
	if (rc == 0 && c.room < row->reply)
		rc = -EIO;
	if (rc == 0)
		rc = serve(&c, row);
	if (row && row->no_reply)
		return 0;
	if (rc > 0 && (size_t)rc > c.room)
		rc = -EIO;
	reply.len = (uint32_t)sizeof(reply) + (rc > 0 ? (uint32_t)rc : 0);
	reply.error = rc < 0 ? rc : 0;
	reply.unique = c.h.unique;
	iov_put(in, nin, 0, &reply, sizeof(reply));
	return (ssize_t)reply.len;
}
