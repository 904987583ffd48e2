/* show.c: what the listing and inspecting commands share; see show.h. */
#include "cmd/show.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/format.h"
#include "runtime/base/own.h"

#define INSPECT_INDENT 4

int filters_parse(const struct strv *texts, const char *const *known, struct filters *f,
		  struct err *e)
{
	for (size_t i = 0; i < texts->n; i++) {
		const char *text = texts->v[i], *eq = strchr(text, '=');
		own_free char *key = NULL;
		const char *const *k = known;

		if (eq == NULL)
			return err_set(e, EINVAL,
				       "invalid argument \"%s\" for \"-f, --filter\" flag: bad "
				       "format of filter (expected name=value)",
				       text);
		key = xstrndup(text, (size_t)(eq - text));
		while (*k && strcmp(*k, key) != 0)
			k++;
		if (*k == NULL)
			return err_set(e, EINVAL, "invalid filter '%s'", key);
		strv_take(&f->keys, steal_ptr(&key));
		strv_add(&f->values, eq + 1);
		f->n++;
	}
	return 0;
}

void filters_free(struct filters *f)
{
	strv_free(&f->keys);
	strv_free(&f->values);
}

void text_ellipsis(struct str *s, size_t max)
{
	size_t chars = 0, cut = 0;

	for (size_t i = 0; i < s->len; i++) {
		if (((unsigned char)s->s[i] & 0xc0) == 0x80)
			continue;
		if (chars == max - 1)
			cut = i;
		if (++chars > max) {
			s->len = cut;
			str_add(s, "\342\200\246");
			return;
		}
	}
}

void text_ago(char *buf, size_t size)
{
	size_t n = strlen(buf);

	snprintf(buf + n, size - n, " ago");
}

struct js *labels_object(const struct strv *labels)
{
	struct js *j = js_object();

	for (size_t i = 0; i < labels->n; i++) {
		const char *eq = strchr(labels->v[i], '=');
		own_free char *key = xstrndup(labels->v[i], eq ? (size_t)(eq - labels->v[i])
							       : strlen(labels->v[i]));

		js_set_text(j, key, eq ? eq + 1 : "");
	}
	return j;
}

const char *hex_of(const char *digest)
{
	return str_starts(digest, "sha256:") ? digest + strlen("sha256:") : digest;
}

/* As docker: what a template says nothing of is an empty line; its error is told, the rest goes on.
 */
static int print_each(const struct js *found, const struct format *f, struct err *e)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < js_len(found); i++) {
		own_str struct str out = STR_INIT;
		struct err one = ERR_INIT;

		if (format_run(f, js_at(found, i), false, &out, &one) < 0) {
			rc = err_set(e, EINVAL, "template parsing error: %s", one.msg);
			continue;
		}
		fwrite(out.s ? out.s : "", 1, out.len, stdout);
		putchar('\n');
		any = true;
	}
	if (!any)
		putchar('\n');
	return rc;
}

int inspect_format_check(const char *format, struct err *e)
{
	own_format struct format *f = NULL;

	if (format == NULL || *format == 0 || strcmp(format, "json") == 0)
		return 0;
	f = format_parse(format, e);
	return f ? 0 : EXIT_TEMPLATE;
}

int print_inspected(const struct js *found, const char *format, struct err *e)
{
	bool compact = format && strcmp(format, "json") == 0;
	own_format struct format *f = NULL;
	own_free char *text = NULL;

	if (format && *format && !compact) {
		f = format_parse(format, e);
		return f ? print_each(found, f, e) : EXIT_TEMPLATE;
	}
	text = js_dump(found, compact ? 0 : INSPECT_INDENT);
	puts(text);
	return 0;
}
