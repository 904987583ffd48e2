/* check.c: zl system check: proves the image store, and mends it. */
#include <errno.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "runtime/base/own.h"

struct check_flags {
	bool quiet, repair;
};

#define AT(member) offsetof(struct check_flags, member)

static const struct opt check_opts[] = {
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Print faults only" },
	{ OPT_BOOL, 0, "repair", NULL, AT(repair), NULL, NULL,
	  "Mend what can be, remove what is damaged so that the next pull fetches it" },
	{ .kind = OPT_END },
};

static int running_layers(void *arg, struct strv *layers, struct err *e)
{
	struct zl *z = arg;
	struct box_list boxes;
	int rc = box_list(&z->dirs, &boxes, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < boxes.n; i++)
		if (box_is_running(boxes.v[i]))
			strv_add_all(layers, &boxes.v[i]->spec.layers);
	box_list_free(&boxes);
	return 0;
}

static int run_check(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct check_flags *f = flags;
	struct image_check_options o = { .repair = f->repair, .running = running_layers, .arg = z };
	struct image_check c;
	int rc = zl_store(z, e);

	(void)ops;
	if (rc < 0)
		return rc;
	rc = image_check(z->store, &o, &c, e);
	for (size_t i = 0; i < c.faults.n; i++)
		puts(c.faults.v[i]);
	if (rc == 0 && !f->quiet)
		printf("%llu images, %llu blobs, %llu layers: %zu faults, %zu mended\n",
		       (unsigned long long)c.images, (unsigned long long)c.blobs,
		       (unsigned long long)c.layers, c.faults.n, c.faults.n - (size_t)c.left);
	if (rc == 0)
		rc = c.left > 0;
	image_check_free(&c);
	return rc;
}

const struct command cmd_system_check = {
	.names = "system check",
	.help = "Prove every blob, layer and reference of the image store",
	.usage = "[OPTIONS]",
	.run = run_check,
	.opts = check_opts,
	.flags_size = sizeof(struct check_flags),
};
