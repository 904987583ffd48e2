/* load.c: zl load: images from an archive. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "runtime/base/own.h"

struct load_flags {
	const char *input, *platform;
	bool quiet;
};

#define AT(member) offsetof(struct load_flags, member)

static const struct opt load_opts[] = {
	{ OPT_TEXT, 'i', "input", "string", AT(input), NULL, "@file",
	  "Read from tar archive file, instead of STDIN" },
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7",
	  "Load only the given platform of an image made for several" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Suppress the load output" },
	{ .kind = OPT_END },
};

static int run_load(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct load_flags *f = flags;
	own_strv struct strv loaded = STRV_INIT;
	own_fd int fd = -1;
	int rc;

	(void)ops;
	if (f->input) {
		fd = open(f->input, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, "open %s", f->input);
	} else if (isatty(STDIN_FILENO)) {
		return err_set(e, EINVAL,
			       "requested load from stdin, but stdin is a terminal: use -i FILE");
	}
	rc = zl_store(z, e);
	if (rc == 0)
		rc = image_load(z->store, f->input ? fd : STDIN_FILENO, f->platform, &loaded, e);
	if (rc < 0)
		return err_wrap(e, "load %s", f->input ? f->input : "from stdin");
	for (size_t i = 0; i < loaded.n; i++) {
		own_free char *familiar = NULL;
		const char *one = loaded.v[i];

		tell_image(z, "load", one, NULL);
		if (!str_starts(one, "sha256:"))
			familiar = image_name_familiar(one);
		printf("Loaded image%s: %s\n", str_starts(one, "sha256:") ? " ID" : "",
		       familiar ? familiar : one);
	}
	return 0;
}

const struct command cmd_load = {
	.names = "image load, load",
	.help = "Load an image from a tar archive or STDIN",
	.usage = "[OPTIONS]",
	.run = run_load,
	.opts = load_opts,
	.flags_size = sizeof(struct load_flags),
};
