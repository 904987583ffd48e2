/* kernel.c: another guest kernel than the embedded one: a file, or an image that holds one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cmd/container.h"
#include "runtime/base/layer.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/* Where an image has it. */
#define KERNEL_FILE "vmlinux"

/* What is written like a path, or is one. */
static bool is_file(const char *name)
{
	struct stat st;

	if (name[0] == '/' || str_starts(name, "./") || str_starts(name, "../"))
		return true;
	return stat(name, &st) == 0 && S_ISREG(st.st_mode);
}

int kernel_settle(char **kernel, struct err *e)
{
	char *path;

	if (**kernel == 0 || !is_file(*kernel))
		return **kernel ? image_name_check(*kernel, e) : 0;
	path = realpath(*kernel, NULL);
	if (path == NULL)
		return err_sys(e, "kernel %s", *kernel);
	free(*kernel);
	*kernel = path;
	return 0;
}

/* What the layer says of the file: 1, a regular one; 0, nothing; else it is none (any more). */
static int look(const char *path)
{
	char text[LAYER_STAT_MAX];
	struct layer_stat stat;
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	stat.mode = st.st_mode;
	n = lgetxattr(path, LAYER_XATTR_STAT, text, sizeof(text));
	if (n > 0 && !layer_stat_parse(text, (size_t)n, st.st_mode, &stat))
		return -EBADMSG;
	return S_ISREG(stat.mode) ? 1 : -ENOENT;
}

static char *file_of(const struct image *i, struct err *e)
{
	for (size_t k = 0; k < i->layers.n; k++) {
		own_free char *path = xasprintf("%s/" KERNEL_FILE, i->layers.v[k]);
		int found = look(path);

		if (found > 0)
			return steal_ptr(&path);
		if (found < 0)
			break;
	}
	err_set(e, ENOENT, "the image holds no file /" KERNEL_FILE);
	return NULL;
}

/* The image's, as new as the registry has it; without the registry, as it is here. */
static char *from_image(struct zl *z, const char *name, bool quiet, struct err *e)
{
	struct pull_options o = { .policy = PULL_NEWER };
	own_image struct image *here = NULL, *i = NULL;
	char *path = NULL;

	if (image_name_check(name, e) == 0 && zl_store(z, e) == 0) {
		here = image_find(z->store, name, NULL);
		o.quiet = quiet || here;
		i = zl_pull(z, name, &o, e);
	}
	if (i)
		path = file_of(i, e);
	if (i == NULL)
		err_wrap(e, "no such file, and no image either");
	return path;
}

int container_kernel(struct zl *z, const struct box *b, bool quiet, struct err *e)
{
	const char *name = *b->spec.kernel ? b->spec.kernel : getenv("ZL_KERNEL");
	char *path;

	free((char *)(uintptr_t)z->dirs.kernel);
	z->dirs.kernel = NULL;
	if (name == NULL || *name == 0)
		return 0;
	if (is_file(name)) {
		path = realpath(name, NULL);
		if (path == NULL)
			return err_sys(e, "kernel %s", name);
	} else {
		path = from_image(z, name, quiet, e);
		if (path == NULL)
			return err_wrap(e, "kernel %s", name);
	}
	log_step("kernel: %s", path);
	z->dirs.kernel = path;
	return 0;
}
