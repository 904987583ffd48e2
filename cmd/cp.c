/* cp.c: zl cp: files between a container and the host, by docker's rules. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/copy_path.h"
#include "cmd/human.h"
#include "runtime/base/hosttree.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"
#include "runtime/box/files.h"

struct cp_flags {
	bool archive, follow, quiet;
};

#define AT(member) offsetof(struct cp_flags, member)

static const struct opt cp_opts[] = {
	{ OPT_BOOL, 'a', "archive", NULL, AT(archive), NULL, NULL,
	  "Archive mode (copy all uid/gid information)" },
	{ OPT_BOOL, 'L', "follow-link", NULL, AT(follow), NULL, NULL,
	  "Always follow symbol link in SRC_PATH" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL,
	  "Suppress the line that says what was copied" },
	{ .kind = OPT_END },
};

/* Of a tar archive, as docker counts what it copied. */
#define TAR_BLOCK 512U
#define TAR_END	  (2 * TAR_BLOCK)

/* Entries on their way from a source to a sink, with another name in front. */
struct copying {
	entry_fn *fn;
	void *arg;
	const char *name; /* of the source's own entry; "": its content goes without it */
	bool keep_top;	  /* an entry without a name is passed on, too */
	uint64_t bytes;
	struct str path, link;
};

static void copying_free(struct copying *c)
{
	str_free(&c->path);
	str_free(&c->link);
}

static const char *join(struct str *s, const char *name, const char *path)
{
	s->len = 0;
	str_addf(s, "%s%s%s", name, *name && *path ? "/" : "", path);
	return s->s;
}

static int pass_on(void *arg, const struct entry *x, struct err *e)
{
	struct copying *c = arg;
	struct entry named = *x;

	named.path = join(&c->path, c->name, x->path);
	if (x->link)
		named.link = join(&c->link, c->name, x->link);
	c->bytes += TAR_BLOCK;
	if (S_ISREG(x->mode) && x->link == NULL)
		c->bytes += (x->size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	if (*named.path == 0 && !c->keep_top) {
		if (S_ISDIR(x->mode))
			return 0;
		return err_set(e, EBADMSG, "an archive of something without a name");
	}
	return c->fn(c->arg, &named, e);
}

/* One side as typed: CONTAINER:PATH, or a path of the host's. */
struct side {
	char *box; /* NULL: the host */
	const char *path;
};

static void side_free(struct side *s)
{
	free(s->box);
}

static struct side side_of(const char *arg)
{
	const char *colon = strchr(arg, ':');

	if (*arg == '/' || *arg == '.' || colon == NULL)
		return (struct side){ NULL, arg };
	return (struct side){ xstrndup(arg, (size_t)(colon - arg)), colon + 1 };
}

static void say(const struct cp_flags *f, const struct copying *c, const char *box,
		const char *path)
{
	char size[32];

	if (f->quiet || !isatty(STDOUT_FILENO))
		return;
	human_size(c->bytes + TAR_END, size, sizeof(size));
	fprintf(stderr, "Successfully copied %s to %s%s%s\n", size, box ? box : "", box ? ":" : "",
		path);
}

/* docker's sentence where there is one. */
static int not_there(int rc, const char *path, const char *box, struct err *e)
{
	if (rc == -ENOENT)
		return err_set(e, ENOENT, "Could not find the file %s in container %s", path, box);
	return rc;
}

/* ---- from a container */

/* -L: the link's target instead, which keeps the link's name. */
static int follow_source(struct box_files *files, char **path, char **name, struct err *e)
{
	own_free char *real = NULL;
	struct entry x;
	int rc = box_files_stat(files, *path, false, &x, NULL, e);

	if (rc < 0 || !S_ISLNK(x.mode))
		return rc;
	rc = box_files_stat(files, *path, true, &x, &real, e);
	if (rc < 0)
		return rc;
	copy_rebase(*path, &real, name);
	free(*path);
	*path = steal_ptr(&real);
	return 0;
}

static int to_stdout(struct box_files *files, const char *path, const char *name, struct err *e)
{
	struct image_tar *tar = image_tar_new(STDOUT_FILENO);
	struct copying c OWN(
		copying_free) = { .fn = image_tar_add, .arg = tar, .name = name, .keep_top = true };

	return image_tar_end(tar, box_files_walk(files, path, pass_on, &c, e), e);
}

static int to_host(struct box_files *files, const char *path, const char *name, bool folder,
		   const struct cp_flags *f, const char *dest, struct err *e)
{
	struct copying c OWN(copying_free) = { .fn = host_sink_add };
	struct copy_end src = { .path = path, .name = name, .exists = true, .folder = folder };
	own_free char *typed = copy_local(dest), *dir = NULL, *as = NULL, *real = NULL;
	struct copy_end dst = { .path = typed };
	int rc = copy_output_check(typed, e);

	if (rc == 0)
		rc = copy_local_dest(typed, &real, &dst, e);
	if (rc == 0)
		rc = copy_plan(&src, &dst, &dir, &as, e);
	if (rc < 0)
		return rc;
	c.name = as;
	c.arg = host_sink_new(dir, f->archive, e);
	if (c.arg == NULL)
		return -EIO;
	rc = host_sink_end(c.arg, box_files_walk(files, path, pass_on, &c, e), e);
	if (rc == 0)
		say(f, &c, NULL, typed);
	return rc;
}

static int copy_out(struct zl *z, const struct cp_flags *f, const struct side *from,
		    const char *dest, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, from->box, e);
	own_free char *path = copy_inside(from->path), *name = NULL;
	struct box_files *files = b ? box_files_open(&z->dirs, b, e) : NULL;
	struct err why = ERR_INIT;
	struct entry x;
	int rc = 0;

	if (files == NULL)
		return -ENOENT;
	if (f->follow)
		rc = follow_source(files, &path, &name, &why);
	if (rc == 0)
		rc = box_files_stat(files, path, false, &x, NULL, &why);
	if (rc < 0) {
		err_set(e, why.code, "%s", why.msg);
		rc = not_there(rc, from->path, from->box, e);
	} else {
		if (name == NULL)
			name = copy_base(path);
		if (strcmp(dest, "-") == 0)
			rc = to_stdout(files, path, name, e);
		else
			rc = to_host(files, path, name, S_ISDIR(x.mode), f, dest, e);
	}
	if (rc == 0)
		events_say_box(&z->dirs, &b->spec, "archive-path", NULL);
	box_files_close(files);
	return rc;
}

/* ---- into a container */

/* What is at the destination; a link there is followed once it is known to be one. */
static int look_dest(struct box_files *files, const struct side *to, char **path,
		     struct copy_end *dst, struct err *e)
{
	own_free char *real = NULL;
	struct entry x;
	int rc = box_files_stat(files, *path, false, &x, NULL, NULL);

	if (rc == 0 && S_ISLNK(x.mode)) {
		rc = box_files_stat(files, *path, true, &x, &real, NULL);
		if (real) {
			free(*path);
			*path = steal_ptr(&real);
		}
	}
	dst->path = *path;
	if (rc < 0)
		return 0; /* it is to be made, which may go well or not */
	if (S_ISCHR(x.mode) || S_ISBLK(x.mode))
		return err_set(e, EINVAL,
			       "destination \"%s:%s\" must be a directory or a regular file: got "
			       "a device",
			       to->box, to->path);
	dst->exists = true;
	dst->folder = S_ISDIR(x.mode);
	return 0;
}

/* The folder of the container that things are put into: its path without links. */
static int check_folder(const struct box *b, struct box_files *files, const char *dir, char **real,
			const struct side *to, struct err *e)
{
	struct entry x;
	int rc = box_files_stat(files, dir, true, &x, real, e);

	if (rc < 0)
		return not_there(rc, dir, to->box, e);
	if (!S_ISDIR(x.mode))
		return err_set(e, ENOTDIR, "extraction point is not a directory");
	rc = box_files_region(files, *real, e);
	if (rc == BOX_FILES_READ_ONLY)
		return err_set(e, EROFS, "mounted volume is marked read-only");
	if (rc == BOX_FILES_ROOT && b->spec.read_only)
		return err_set(e, EROFS, "container rootfs is marked read-only");
	return rc < 0 ? rc : 0;
}

struct input {
	const char *path; /* of the host's; NULL: a tar archive on stdin */
	struct copy_end src;
};

static int put_in(struct box_files *files, const char *dir, const struct input *in,
		  const struct cp_flags *f, struct copying *c, struct err *e)
{
	int rc = box_files_begin(files, dir, e);

	c->fn = box_files_add;
	c->arg = files;
	if (rc == 0 && in->path)
		rc = host_walk(in->path, f->archive, pass_on, c, e);
	else if (rc == 0)
		rc = image_untar(STDIN_FILENO, pass_on, c, e);
	return rc == 0 ? box_files_end(files, e) : rc;
}

static int copy_to(const struct box *b, struct box_files *files, const struct cp_flags *f,
		   const struct input *in, const struct side *to, struct err *e)
{
	own_free char *path = copy_inside(to->path), *dir = NULL, *as = NULL, *real = NULL;
	struct copying c OWN(copying_free) = { .name = "" };
	struct copy_end dst = { .path = NULL };
	int rc = look_dest(files, to, &path, &dst, e);

	if (rc < 0)
		return rc;
	if (in->path == NULL) {
		if (!dst.folder)
			return err_set(e, ENOTDIR, "destination \"%s:%s\" must be a directory",
				       to->box, to->path);
		dir = xstrdup(path);
	} else {
		rc = copy_plan(&in->src, &dst, &dir, &as, e);
		c.name = as;
	}
	if (rc == 0)
		rc = check_folder(b, files, dir, &real, to, e);
	if (rc == 0)
		rc = put_in(files, real, in, f, &c, e);
	if (rc == 0)
		say(f, &c, to->box, path);
	return rc;
}

static int copy_in(struct zl *z, const struct cp_flags *f, const char *source,
		   const struct side *to, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, to->box, e);
	own_free char *path = NULL, *name = NULL;
	struct input in = { .path = NULL };
	struct box_files *files;
	int rc = b ? 0 : -ENOENT;

	if (rc == 0 && strcmp(source, "-") != 0) {
		rc = copy_local_source(source, f->follow, &path, &name, &in.src, e);
		in.path = path;
	}
	if (rc < 0)
		return rc;
	files = box_files_open(&z->dirs, b, e);
	if (files == NULL)
		return -EIO;
	rc = copy_to(b, files, f, &in, to, e);
	if (rc == 0)
		events_say_box(&z->dirs, &b->spec, "extract-to-dir", NULL);
	box_files_close(files);
	return rc;
}

static int run_cp(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	struct side from OWN(side_free) = side_of(ops->v[0]);
	struct side to OWN(side_free) = side_of(ops->v[1]);

	if (*ops->v[0] == 0)
		return err_set(e, EINVAL, "source can not be empty");
	if (*ops->v[1] == 0)
		return err_set(e, EINVAL, "destination can not be empty");
	if (from.box && to.box)
		return err_set(e, EINVAL, "copying between containers is not supported");
	if (from.box)
		return copy_out(z, flags, &from, to.path, e);
	if (to.box)
		return copy_in(z, flags, from.path, &to, e);
	return err_set(e, EINVAL, "must specify at least one container source");
}

const struct command cmd_cp = {
	.names = "container cp, cp",
	.help = "Copy files/folders between a container and the local filesystem",
	.usage = "[OPTIONS] SOURCE DESTINATION",
	.run = run_cp,
	.opts = cp_opts,
	.flags_size = sizeof(struct cp_flags),
	.min = 2,
	.max = 2,
	.complete = "@cp",
};
