/* import.c: zl import: an image of one layer from an archive of files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/change.h"
#include "cmd/cmd.h"
#include "runtime/base/own.h"

#define COPY_BYTES (256u << 10)

struct import_flags {
	const char *message, *platform;
	struct strv change;
};

#define AT(member) offsetof(struct import_flags, member)

static const struct opt import_opts[] = {
	{ OPT_LIST, 'c', "change", "list", AT(change), NULL, NULL,
	  "Apply Dockerfile instruction to the created image" },
	{ OPT_TEXT, 'm', "message", "string", AT(message), NULL, NULL,
	  "Set commit message for imported image" },
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7", "Set platform of the image" },
	{ .kind = OPT_END },
};

static int read_all(struct image_layer *l, int fd, struct err *e)
{
	own_free char *buf = xmalloc(COPY_BYTES);
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read(fd, buf, COPY_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		rc = n < 0 ? err_sys(e, "read") : image_layer_write(l, buf, (size_t)n, e);
	}
	return rc;
}

static int fill(struct image_layer *l, const char *source, struct err *e)
{
	own_fd int fd = -1;

	if (strcmp(source, "-") == 0)
		return read_all(l, STDIN_FILENO, e);
	if (str_starts(source, "http://") || str_starts(source, "https://"))
		return image_layer_fetch(l, source, e);
	fd = open(source, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", source);
	return read_all(l, fd, e);
}

static int run_import(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct import_flags *f = flags;
	const char *source = ops->v[0], *name = ops->n > 1 ? ops->v[1] : NULL;
	own_free char *comment = NULL;
	own_js struct js *config = js_object();
	struct image_layer *l;
	struct image_new n;
	char id[72];
	int rc = config_change(config, &f->change, e);

	if (rc < 0 || zl_store(z, e) < 0 || (name && image_name_check(name, e) < 0))
		return -1;
	l = image_layer_begin(z->store, e);
	if (l == NULL)
		return -1;
	comment = f->message && *f->message ? xstrdup(f->message)
					    : xasprintf("Imported from %s", source);
	n = (struct image_new){
		.config = config, .comment = comment, .name = name, .platform = f->platform
	};
	rc = fill(l, source, e);
	if (rc == 0)
		rc = image_make(l, &n, id, e);
	image_layer_free(l);
	if (rc < 0)
		return err_wrap(e, "import %s", source);
	tell_image(z, "import", id, NULL);
	puts(id);
	return 0;
}

const struct command cmd_import = {
	.names = "image import, import",
	.help = "Import the contents from a tarball to create a filesystem image",
	.usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
	.run = run_import,
	.opts = import_opts,
	.flags_size = sizeof(struct import_flags),
	.min = 1,
	.max = 2,
	.complete = "@file",
};
