/* ps.c: zl ps. */
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/container.h"
#include "cmd/human.h"
#include "cmd/inspect.h"
#include "cmd/ports.h"
#include "cmd/show.h"
#include "cmd/table_out.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/link.h"

/* Longest command shown without --no-trunc, in characters. */
#define COMMAND_WIDTH 20

struct ps_flags {
	bool all, latest, no_trunc, quiet, size;
	int64_t last;
	const char *format;
	struct strv filter;
};

#define AT(member) offsetof(struct ps_flags, member)

static const struct opt ps_opts[] = {
	{ OPT_BOOL, 'a', "all", NULL, AT(all), NULL, NULL,
	  "Show all containers (default shows just running)" },
	{ OPT_LIST, 'f', "filter", "filter", AT(filter), NULL,
	  "id=|name=|label=|status=|ancestor=|exited=|before=|since=|health=|network=|volume=|"
	  "publish=|expose=|is-task=",
	  "Filter output based on conditions provided" },
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "table|json",
	  "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
	{ OPT_INT, 'n', "last", "int", AT(last), "-1", NULL,
	  "Show n last created containers (includes all states)" },
	{ OPT_BOOL, 'l', "latest", NULL, AT(latest), NULL, NULL,
	  "Show the latest created container (includes all states)" },
	{ OPT_BOOL, 0, "no-trunc", NULL, AT(no_trunc), NULL, NULL, "Don't truncate output" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Only display container IDs" },
	{ OPT_BOOL, 's', "size", NULL, AT(size), NULL, NULL, "Display total file sizes" },
	{ .kind = OPT_END },
};

/* --- filters: within one key any may match, all keys must */

static bool name_matches(const struct box *b, const char *pattern)
{
	own_free char *slashed = xasprintf("/%s", b->spec.name);
	regex_t re;
	bool hit;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return strstr(b->spec.name, pattern) != NULL;
	hit = regexec(&re, b->spec.name, 0, NULL, 0) == 0 || regexec(&re, slashed, 0, NULL, 0) == 0;
	regfree(&re);
	return hit;
}

static bool label_matches(const struct box *b, const char *label)
{
	size_t n = strlen(label);

	for (size_t i = 0; i < b->spec.labels.n; i++) {
		const char *pair = b->spec.labels.v[i];

		if (strcmp(pair, label) == 0)
			return true;
		if (strchr(label, '=') == NULL && strncmp(pair, label, n) == 0 && pair[n] == '=')
			return true;
	}
	return false;
}

/* The image by name in any spelling, or by id. */
static bool ancestor_matches(const struct box *b, const char *image)
{
	own_free char *mine = image_name_familiar(b->spec.image);
	own_free char *theirs = image_name_familiar(image);
	const char *hex = b->spec.image_id + (str_starts(b->spec.image_id, "sha256:") ? 7 : 0);

	if (strcmp(b->spec.image, image) == 0)
		return true;
	if (mine && theirs && strcmp(mine, theirs) == 0)
		return true;
	if (str_starts(image, "sha256:"))
		image += 7;
	return strlen(image) >= 6 && str_starts(hex, image);
}

static bool exited_matches(const struct box *b, const char *code)
{
	uint64_t want;

	return b->state.status == BOX_EXITED && parse_u64(code, 0, 255, &want) &&
	       b->state.exit_code == (int)want;
}

/* "8000-8010/udp" */
static bool parse_ports(const char *text, uint64_t *first, uint64_t *last, const char **proto)
{
	const char *slash = strchr(text, '/');
	own_free char *ports = xstrndup(text, slash ? (size_t)(slash - text) : strlen(text));
	char *dash = strchr(ports, '-');

	*proto = slash ? slash + 1 : "tcp";
	if (strcmp(*proto, "tcp") != 0 && strcmp(*proto, "udp") != 0)
		return false;
	if (dash)
		*dash++ = 0;
	return parse_u64(ports, 1, UINT16_MAX, first) &&
	       parse_u64(dash ? dash : ports, *first, UINT16_MAX, last);
}

static bool port_matches(const char *have, const char *want)
{
	uint64_t first, last, port, same;
	const char *proto, *mine;

	return parse_ports(want, &first, &last, &proto) && parse_ports(have, &port, &same, &mine) &&
	       strcmp(proto, mine) == 0 && port >= first && port <= last;
}

static bool any_key_matches(const struct js *object, const char *want)
{
	struct js *value;
	const char *key;
	void *at = NULL;

	while (js_each(object, &at, &key, &value))
		if (port_matches(key, want))
			return true;
	return false;
}

static bool volume_matches(const struct js *mounts, const char *want)
{
	static const char *const keys[] = { "Name", "Source", "Destination" };

	for (size_t i = 0; i < js_len(mounts); i++)
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			const char *have = js_text(js_get(js_at(mounts, i), keys[k]));

			if (have && strcmp(have, want) == 0)
				return true;
		}
	return false;
}

/* A network by its name or the beginning of its id. */
static bool network_matches(const struct js *networks, const char *want)
{
	struct js *value;
	const char *key;
	void *at = NULL;

	while (js_each(networks, &at, &key, &value)) {
		const char *id = js_text(js_get(value, "NetworkID"));

		if (strcmp(key, want) == 0 || (id && *id && *want && str_starts(id, want)))
			return true;
	}
	return false;
}

/* Filters of what inspect shows. */
static bool inspected_matches(const struct box *b, const char *key, const char *value)
{
	own_js struct js *j = inspect_box(b, NULL);
	const struct js *net = js_get(j, "NetworkSettings");

	if (strcmp(key, "health") == 0) {
		const char *health =
			js_text(js_get(js_get(js_get(j, "State"), "Health"), "Status"));

		return strcmp(health ? health : "none", value) == 0;
	}
	if (strcmp(key, "network") == 0)
		return network_matches(js_get(net, "Networks"), value);
	if (strcmp(key, "volume") == 0)
		return volume_matches(js_get(j, "Mounts"), value);
	if (strcmp(key, "publish") == 0)
		return any_key_matches(js_get(js_get(j, "HostConfig"), "PortBindings"), value);
	return any_key_matches(js_get(js_get(j, "Config"), "ExposedPorts"), value);
}

/* What `before` and `since` compare with. */
struct ps_bounds {
	int64_t before, since; /* 0: none */
};

static bool one_matches(const struct box *b, const char *key, const char *value)
{
	if (strcmp(key, "id") == 0)
		return str_starts(b->spec.id, value);
	if (strcmp(key, "name") == 0)
		return name_matches(b, value);
	if (strcmp(key, "label") == 0)
		return label_matches(b, value);
	if (strcmp(key, "status") == 0)
		return strcmp(box_status_name(b->state.status), value) == 0;
	if (strcmp(key, "ancestor") == 0)
		return ancestor_matches(b, value);
	if (strcmp(key, "exited") == 0)
		return exited_matches(b, value);
	if (strcmp(key, "before") == 0 || strcmp(key, "since") == 0)
		return true;		 /* see struct ps_bounds */
	if (strcmp(key, "is-task") == 0) /* of services, which there are none of */
		return strcmp(value, "false") == 0;
	return inspected_matches(b, key, value);
}

static bool matches(const struct box *b, const struct filters *f, const struct ps_bounds *bounds)
{
	if (bounds->before && b->spec.created_ns >= bounds->before)
		return false;
	if (bounds->since && b->spec.created_ns <= bounds->since)
		return false;
	for (size_t i = 0; i < f->n; i++) {
		bool hit = false;

		/* labels must all be there; of the other keys one is enough */
		for (size_t k = 0; k < f->n; k++)
			if (strcmp(f->keys.v[k], f->keys.v[i]) == 0 &&
			    (strcmp(f->keys.v[i], "label") != 0 || k == i))
				hit = hit || one_matches(b, f->keys.v[k], f->values.v[k]);
		if (!hit)
			return false;
	}
	return true;
}

/* Whether the value is one that the key may have. */
static bool value_fits(const char *key, const char *value)
{
	static const struct {
		const char *key, *values;
	} closed[] = {
		{ "status", "created|running|paused|restarting|exited|removing|dead" },
		{ "health", "none|starting|healthy|unhealthy" },
		{ "is-task", "true|false" },
	};
	uint64_t first, last;
	const char *proto;

	if (strcmp(key, "exited") == 0)
		return parse_u64(value, 0, 255, &first);
	if (strcmp(key, "publish") == 0 || strcmp(key, "expose") == 0)
		return parse_ports(value, &first, &last, &proto);
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		own_strv struct strv words = STRV_INIT;

		strv_split(&words, closed[i].values, '|');
		if (strcmp(key, closed[i].key) == 0)
			return strv_has(&words, value);
	}
	return true;
}

static int check_filters(struct zl *z, const struct filters *f, bool *all, struct ps_bounds *bounds,
			 struct err *e)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *key = f->keys.v[i], *value = f->values.v[i];

		if (!value_fits(key, value))
			return err_set(e, EINVAL, "invalid filter '%s=%s'", key, value);
		*all = *all || strcmp(key, "status") == 0 || strcmp(key, "exited") == 0;
		if (strcmp(key, "before") == 0 || strcmp(key, "since") == 0) {
			own_box struct box *b = box_find(&z->dirs, value, e);

			if (b == NULL)
				return -1;
			*(*key == 'b' ? &bounds->before : &bounds->since) = b->spec.created_ns;
			*all = true;
		}
	}
	return 0;
}

/* --- rows */

/* "sh -c 'echo hi'", cut to 20 characters, in Go's quotes. */
static char *command_text(const struct box *b, bool whole)
{
	own_str struct str s = STR_INIT;
	own_js struct js *quoted = NULL;

	for (size_t i = 0; i < b->spec.argv.n; i++) {
		const char *arg = b->spec.argv.v[i];

		if (i)
			str_addf(&s, strchr(arg, ' ') ? " '%s'" : " %s", arg);
		else
			str_add(&s, arg);
	}
	if (!whole)
		text_ellipsis(&s, COMMAND_WIDTH);
	quoted = js_of_mem(s.s ? s.s : "", s.len);
	return js_dump(quoted, 0);
}

static void status_text(const struct box *b, char *buf, size_t size)
{
	char span[64];
	bool ended = b->state.status == BOX_EXITED || b->state.status == BOX_RESTARTING;
	int64_t now = now_ns();

	human_span((now - (ended ? b->state.finished_ns : b->state.started_ns)) / NS_PER_S, span,
		   sizeof(span));
	switch (b->state.status) {
	case BOX_RUNNING:
		snprintf(buf, size, "Up %s", span);
		if (b->state.health != BOX_HEALTH_NONE)
			snprintf(buf, size, "Up %s (%s%s)", span,
				 b->state.health == BOX_HEALTH_STARTING ? "health: " : "",
				 box_health_name(b->state.health));
		return;
	case BOX_RESTARTING:
		snprintf(buf, size, "Restarting (%d) %s ago", b->state.exit_code, span);
		return;
	case BOX_PAUSED:
		snprintf(buf, size, "Up %s (Paused)", span);
		return;
	case BOX_EXITED:
		snprintf(buf, size, "Exited (%d) %s ago", b->state.exit_code, span);
		return;
	case BOX_CREATED:
		snprintf(buf, size, "Created");
		return;
	case BOX_DEAD:
		break;
	}
	snprintf(buf, size, "Dead");
}

static void set_mounts(struct js *row, const struct box *b, bool whole)
{
	own_str struct str s = STR_INIT;
	char volumes[16];
	unsigned n = 0;

	for (unsigned i = 0; i < b->spec.nmounts; i++) {
		const struct box_mount *m = &b->spec.mounts[i];
		own_str struct str one = STR_INIT;

		if (m->kind == BOX_MOUNT_TMPFS)
			continue;
		n += m->kind == BOX_MOUNT_VOLUME;
		str_add(&one, m->kind == BOX_MOUNT_VOLUME ? m->name : m->source);
		if (!whole)
			text_ellipsis(&one, 15);
		str_addf(&s, "%s%s", s.len ? "," : "", one.s);
	}
	snprintf(volumes, sizeof(volumes), "%u", n);
	js_set_text(row, "LocalVolumes", volumes);
	js_set_text(row, "Mounts", s.s ? s.s : "");
}

/* docker's fields, by name as Go writes a map. */
static struct js *row_of(const struct box *b, bool whole, const char *size)
{
	struct js *row = js_object();
	own_free char *command = command_text(b, whole);
	own_str struct str labels = STR_INIT, ports = STR_INIT;
	own_strv struct strv sorted = STRV_INIT;
	char buf[128];
	int id_len = whole ? BOX_ID_LEN : SHORT_ID_LEN;

	js_set_text(row, "Command", command);
	human_time(b->spec.created_ns / NS_PER_S, buf, sizeof(buf));
	js_set_text(row, "CreatedAt", buf);
	snprintf(buf, sizeof(buf), "%.*s", id_len, b->spec.id);
	js_set_text(row, "ID", buf);
	js_set_text(row, "Image", b->spec.image);
	strv_add_all(&sorted, &b->spec.labels);
	strv_sort(&sorted);
	for (size_t i = 0; i < sorted.n; i++)
		str_addf(&labels, "%s%s", i ? "," : "", sorted.v[i]);
	js_set_text(row, "Labels", labels.s ? labels.s : "");
	set_mounts(row, b, whole);
	js_set_text(row, "Names", b->spec.name);
	js_set_text(row, "Networks", box_network(&b->spec));
	ports_column(b, &ports);
	js_set_text(row, "Ports", ports.s ? ports.s : "");
	human_span((now_ns() - b->spec.created_ns) / NS_PER_S, buf, sizeof(buf));
	text_ago(buf, sizeof(buf));
	js_set_text(row, "RunningFor", buf);
	js_set_text(row, "Size", size);
	js_set_text(row, "State", box_status_name(b->state.status));
	status_text(b, buf, sizeof(buf));
	js_set_text(row, "Status", buf);
	return row;
}

static const struct table_title titles[] = {
	{ "Command", "COMMAND" },
	{ "CreatedAt", "CREATED AT" },
	{ "ID", "CONTAINER ID" },
	{ "Image", "IMAGE" },
	{ "Label", "" },
	{ "Labels", "LABELS" },
	{ "LocalVolumes", "LOCAL VOLUMES" },
	{ "Mounts", "MOUNTS" },
	{ "Names", "NAMES" },
	{ "Networks", "NETWORKS" },
	{ "Ports", "PORTS" },
	{ "RunningFor", "CREATED" },
	{ "Size", "SIZE" },
	{ "State", "STATE" },
	{ "Status", "STATUS" },
	{ NULL, NULL },
};

#define PS_COLUMNS \
	"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

/* The sizes of images by their ids, read when sizes are asked for. */
static uint64_t image_size(const struct image_list *images, const char *id)
{
	for (size_t i = 0; i < images->n; i++)
		if (strcmp(images->v[i]->id, id) == 0)
			return images->v[i]->size;
	return 0;
}

/* "2B (virtual 21.5MB)" */
static void size_text(const struct box *b, const struct image_list *images, char *buf, size_t size)
{
	uint64_t own = box_size(b), root = image_size(images, b->spec.image_id);
	char text[32];

	human_size(own, buf, size);
	if (own + root == 0)
		return;
	human_size(own + root, text, sizeof(text));
	snprintf(buf + strlen(buf), size - strlen(buf), " (virtual %s)", text);
}

/* docker measures if the template shows it, too. */
static bool wants_size(const struct ps_flags *f)
{
	const char *format = f->format ? f->format : "";

	return f->size || strstr(format, ".Size") || strstr(format, "json .");
}

static bool ids_only(const struct ps_flags *f)
{
	bool custom = f->format && *f->format && strcmp(f->format, "table") != 0;

	if (f->quiet && custom)
		fputs("WARNING: Ignoring custom format, because both --format and --quiet are "
		      "set.\n",
		      stderr);
	return f->quiet;
}

static int print_rows(struct zl *z, const struct box_list *list, const bool *shown,
		      const struct ps_flags *f, struct err *e)
{
	own_js struct js *rows = js_array(), *more = js_array();
	own_str struct str out = STR_INIT;
	struct image_list images = { NULL, 0 };
	bool ids = ids_only(f), sizes = !ids && wants_size(f);
	int rc = 0;

	if (sizes && (zl_store(z, e) < 0 || image_list(z->store, &images, e) < 0))
		return -1;
	for (size_t i = 0; i < list->n; i++) {
		const struct box *b = list->v[i];
		struct js *methods = js_object();
		char size[80] = "0B";

		if (shown[i] && ids)
			printf("%.*s\n", f->no_trunc ? BOX_ID_LEN : SHORT_ID_LEN, b->spec.id);
		if (shown[i] && sizes)
			size_text(b, &images, size, sizeof(size));
		js_set(methods, "Label", labels_object(&b->spec.labels));
		if (shown[i] && !ids) {
			js_push(rows, row_of(b, f->no_trunc, size));
			js_push(more, steal_ptr(&methods));
		}
		js_free(methods);
	}
	if (!ids)
		rc = table_list_more(rows, more, f->format,
				     f->size ? PS_COLUMNS "\t{{.Size}}" : PS_COLUMNS, titles, &out,
				     e);
	fputs(out.s ? out.s : "", stdout);
	image_list_free(&images);
	return rc;
}

static int run_ps(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	static const char *const keys[] = { "id",     "name",	 "label",  "status",  "ancestor",
					    "exited", "before",	 "since",  "health",  "network",
					    "volume", "publish", "expose", "is-task", NULL };
	const struct ps_flags *f = flags;
	struct filters filters OWN(filters_free) = { STRV_INIT, STRV_INIT, 0 };
	struct ps_bounds bounds = { 0, 0 };
	int64_t last = f->latest ? 1 : f->last;
	bool all = f->all || last >= 0;
	struct box_list list;
	own_free bool *shown = NULL;
	int rc;

	(void)ops;
	if (filters_parse(&f->filter, keys, &filters, e) < 0 ||
	    check_filters(z, &filters, &all, &bounds, e) < 0 || box_list(&z->dirs, &list, e) < 0)
		return -1;
	shown = xcalloc(list.n + 1, sizeof(bool));
	for (size_t i = 0; i < list.n && last != 0; i++) {
		const struct box *b = list.v[i];

		shown[i] = (all || box_is_running(b)) && matches(b, &filters, &bounds);
		if (shown[i] && last > 0)
			last--;
	}
	rc = print_rows(z, &list, shown, f, e);
	box_list_free(&list);
	return rc;
}

struct js *ps_row(const struct box *b, bool whole)
{
	return row_of(b, whole, "0B");
}

const struct command cmd_ps = {
	.names = "container ls, container list, container ps, ps",
	.help = "List containers",
	.usage = "[OPTIONS]",
	.run = run_ps,
	.opts = ps_opts,
	.flags_size = sizeof(struct ps_flags),
	.flags = CMD_COMMON,
};
