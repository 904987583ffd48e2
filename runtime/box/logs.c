/* logs.c: `zl logs`: a container's log, until the container ends; see box.h. */
#include <errno.h>

#include "runtime/box/box.h"
#include "runtime/box/logfile.h"

static int container_ended(void *arg, struct err *e)
{
	struct box_event ev;
	int rc = box_client_next(arg, &ev, e);

	return rc < 0 ? rc : ev.kind != BOX_EV_STARTED;
}

int box_logs(const struct box_dirs *d, struct box *b, const struct box_log_options *o,
	     struct err *e)
{
	struct log_end end = { .ended = container_ended };
	struct box_client *c = NULL;
	struct log_config config;
	int rc = log_config_of(&config, &b->spec, e);

	if (rc < 0)
		return rc;
	log_config_free(&config);
	if (config.none)
		return err_set(e, ENOTSUP, "configured logging driver does not support reading");
	if (o->follow)
		c = box_connect(d, b, NULL);
	if (c) {
		end.fd = box_client_fd(c);
		end.arg = c;
	}
	rc = log_read(b->dir, config.max_files, o, c ? &end : NULL, e);
	box_client_free(c);
	return rc;
}
