/* manifest.c: zl manifest inspect: what a registry has under a name. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

struct manifest_flags {
	bool insecure, verbose;
};

#define AT(member) offsetof(struct manifest_flags, member)

static const struct opt manifest_opts[] = {
	{ OPT_BOOL, 0, "insecure", NULL, AT(insecure), NULL, NULL,
	  "Allow communication with an insecure registry" },
	{ OPT_BOOL, 'v', "verbose", NULL, AT(verbose), NULL, NULL,
	  "Output additional info including layers and platform" },
	{ .kind = OPT_END },
};

static void new_line(struct str *out, unsigned depth, const char *indent)
{
	str_add_char(out, '\n');
	while (depth-- > 0)
		str_add(out, indent);
}

/*
 * JSON with other white space, everything else byte for byte as it is (Go's
 * json.Indent); text is known to be valid.
 */
static void indent_json(const char *text, size_t n, const char *indent, unsigned depth,
			struct str *out)
{
	bool quoted = false, opened = false;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (quoted) {
			str_add_char(out, c);
			if (c == '\\' && i + 1 < n)
				str_add_char(out, text[++i]);
			quoted = c != '"';
			continue;
		}
		if (strchr(" \t\r\n", c))
			continue;
		if (strchr("}]", c)) {
			depth--;
			if (!opened)
				new_line(out, depth, indent);
		} else if (opened) {
			new_line(out, depth, indent);
		}
		opened = c == '{' || c == '[';
		quoted = c == '"';
		depth += opened;
		str_add_char(out, c);
		if (c == ',')
			new_line(out, depth, indent);
		if (c == ':')
			str_add_char(out, ' ');
	}
}

static void print_json(const struct js *j, const char *indent)
{
	own_free char *text = js_dump(j, 0);
	own_str struct str out = STR_INIT;

	indent_json(text, strlen(text), indent, 0, &out);
	puts(out.s);
}

/* An entry as docker's Go types order its fields. */
static struct js *descriptor(const struct remote_manifest *m, bool size_first)
{
	struct js *d = js_object();

	js_set_text(d, "mediaType", m->media_type);
	if (size_first)
		js_set_int(d, "size", (int64_t)m->size);
	js_set_text(d, "digest", m->digest);
	if (!size_first)
		js_set_int(d, "size", (int64_t)m->size);
	if (m->platform)
		js_set(d, "platform", js_copy(m->platform));
	return d;
}

static void print_index(const struct remote_manifests *all)
{
	own_js struct js *j = js_object();
	struct js *list = js_array();

	js_set_int(j, "schemaVersion", 2);
	js_set_text(j, "mediaType",
		    all->oci ? "application/vnd.oci.image.index.v1+json"
			     : "application/vnd.docker.distribution.manifest.list.v2+json");
	for (size_t i = 0; i < all->n; i++)
		js_push(list, descriptor(&all->v[i], true));
	js_set(j, "manifests", list);
	print_json(j, "   ");
}

static struct js *verbose(const struct remote_manifest *m)
{
	struct js *j = js_object(), *raw = js_parse(m->raw.s, m->raw.len, NULL);
	own_free char *base64 = remote_base64(&m->raw);
	bool oci = str_starts(m->media_type, "application/vnd.oci.");

	js_set_text(j, "Ref", m->ref);
	js_set(j, "Descriptor", descriptor(m, false));
	js_set_text(j, "Raw", base64);
	if (raw)
		js_set(j, oci ? "OCIManifest" : "SchemaV2Manifest", raw);
	return j;
}

static void print_verbose(const struct remote_manifests *all)
{
	own_js struct js *j = all->index ? js_array() : verbose(&all->v[0]);

	for (size_t i = 0; all->index && i < all->n; i++)
		js_push(j, verbose(&all->v[i]));
	print_json(j, "\t");
}

static int run_inspect(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct manifest_flags *f = flags;
	own_str struct str out = STR_INIT;
	struct remote_manifests all;

	(void)z;
	if (remote_manifests(ops->v[ops->n - 1], f->verbose, f->insecure, &all, e) < 0)
		return -1;
	if (f->verbose) {
		print_verbose(&all);
	} else if (all.index) {
		print_index(&all);
	} else {
		indent_json(all.v[0].raw.s, all.v[0].raw.len, "\t", 0, &out);
		puts(out.s);
	}
	remote_manifests_free(&all);
	return 0;
}

const struct command cmd_manifest_inspect = {
	.names = "manifest inspect",
	.help = "Display an image manifest, or manifest list",
	.usage = "[OPTIONS] MANIFEST",
	.run = run_inspect,
	.opts = manifest_opts,
	.flags_size = sizeof(struct manifest_flags),
	.min = 1,
	.max = 1,
	.flags = CMD_PURE,
	.complete = "@image",
};
