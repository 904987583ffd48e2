/* format_eval.c: a parsed template and a value become text; see format.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/format.h"
#include "cmd/format_ast.h"
#include "runtime/base/own.h"

/* A pipe's value; `final` is handed to its first command as the last argument. */
static int eval_pipe(struct eval *ev, const struct node *pipe, const struct js *dot,
		     const struct js **out);
static int eval_list(struct eval *ev, const struct node *n, const struct js *dot);

const struct js *eval_keep(struct eval *ev, struct js *v)
{
	if (ev->nmade == ev->cap) {
		ev->cap = ev->cap ? 2 * ev->cap : 16;
		ev->made = xrealloc(ev->made, ev->cap * sizeof(struct js *));
	}
	ev->made[ev->nmade++] = v;
	return v;
}

/* The title of `.Label "com.example.some-thing"`: SOME THING. */
static const struct js *label_title(struct eval *ev, const struct js *arg)
{
	const char *s = js_text(arg), *dot = s ? strrchr(s, '.') : NULL;
	own_free char *title = xstrdup(dot ? dot + 1 : s ? s : "");

	for (char *c = title; *c; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
		else if (*c == '-' || *c == '_')
			*c = ' ';
	}
	return eval_keep(ev, js_of_text(title));
}

/*
 * What Go's types say and JSON does not: these fields are maps, in which a key that is missing is
 * no mistake.
 */
static bool is_map(const char *field)
{
	static const char *const maps[] = { "Annotations", "Attributes",   "Data",
					    "DriverOpts",  "ExposedPorts", "Labels",
					    "Networks",	   "Options",	   "PortBindings",
					    "Ports",	   "StorageOpt",   "Sysctls",
					    "Tmpfs",	   "Volumes",	   "Details" };

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (strcmp(maps[i], field) == 0)
			return true;
	return false;
}

/* Fields whose name in Go, which templates may use as well, is not that in JSON. */
static const char *json_name(const char *field)
{
	static const char *const names[][2] = {
		{ "APIVersion", "ApiVersion" },
		{ "CPUPeriod", "CpuPeriod" },
		{ "CPUQuota", "CpuQuota" },
		{ "CPUShares", "CpuShares" },
		{ "DNS", "Dns" },
		{ "DNSOptions", "DnsOptions" },
		{ "DNSSearch", "DnsSearch" },
		{ "HTTPProxy", "HttpProxy" },
		{ "HTTPSProxy", "HttpsProxy" },
		{ "ID", "Id" },
		{ "NanoCPUs", "NanoCpus" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i][0], field) == 0)
			return names[i][1];
	return field;
}

static int eval_fields(struct eval *ev, const struct strv *fields, const struct js *from,
		       const struct js **out)
{
	for (size_t i = 0; i < fields->n; i++) {
		const struct js *v = js_get(from, fields->v[i]);

		if (v == NULL && from == ev->root)
			v = js_get(ev->more, fields->v[i]);
		if (v == NULL)
			v = js_get(from, json_name(fields->v[i]));
		if (from == NULL || js_is_null(from))
			return err_set(ev->e, EINVAL,
				       "template: executing <.%s>: nil data; no entry for key "
				       "\"%s\"",
				       fields->v[i], fields->v[i]);
		if (v == NULL && !ev->header && i > 0 && is_map(fields->v[i - 1]) &&
		    js_is_object(from)) {
			*out = NULL;
			return i + 1 == fields->n
				       ? 0
				       : err_set(ev->e, EINVAL,
						 "template: executing <.%s>: nil pointer "
						 "evaluating .%s",
						 fields->v[i], fields->v[i + 1]);
		}
		if (v == NULL && ev->header)
			v = eval_keep(ev, js_of_text("<no value>"));
		if (v == NULL && js_is_object(from))
			return err_set(ev->e, EINVAL,
				       "template: executing <.%s>: map has no entry for key "
				       "\"%s\"",
				       fields->v[i], fields->v[i]);
		if (v == NULL)
			return err_set(ev->e, EINVAL,
				       "template: executing <.%s>: can't evaluate field %s of "
				       "what is no object",
				       fields->v[i], fields->v[i]);
		from = v;
	}
	*out = from;
	return 0;
}

static int eval_var(struct eval *ev, const struct node *n, const struct js **out)
{
	if (strcmp(n->text, "$") == 0)
		return eval_fields(ev, &n->fields, ev->root, out);
	for (size_t i = ev->nvars; i-- > 0;)
		if (strcmp(ev->vars[i].name, n->text) == 0)
			return eval_fields(ev, &n->fields, ev->vars[i].value, out);
	return err_set(ev->e, EINVAL, "template: undefined variable \"%s\"", n->text);
}

static int call(struct eval *ev, const struct node *n, const struct js *const *args, int nargs,
		const struct js **out)
{
	const struct format_fn *fn = format_fn_find(n->text);
	int max = fn->max < 0 ? FORMAT_ARGS_MAX + 1 : fn->max;

	if (nargs < fn->min || nargs > max)
		return err_set(ev->e, EINVAL,
			       "template: executing \"%s\": wrong number of args for %s: want %s%d "
			       "got %d",
			       n->text, n->text,
			       fn->max < 0	    ? "at least "
			       : fn->max != fn->min ? "up to "
						    : "",
			       fn->max < 0 ? fn->min : fn->max, nargs);
	return fn->call(ev, args, nargs, out);
}

/* An operand by itself. */
static int eval_operand(struct eval *ev, const struct node *n, const struct js *dot,
			const struct js **out)
{
	int rc;

	switch (n->kind) {
	case NODE_DOT:
		return eval_fields(ev, &n->fields, dot, out);
	case NODE_VAR:
		return eval_var(ev, n, out);
	case NODE_PAREN:
		rc = eval_pipe(ev, n->pipe, dot, out);
		return rc < 0 ? rc : eval_fields(ev, &n->fields, *out, out);
	case NODE_VALUE:
		*out = n->value;
		return 0;
	case NODE_CALL:
		return call(ev, n, NULL, 0, out);
	default:
		return err_set(ev->e, EINVAL, "template: unexpected node");
	}
}

/* `and` and `or` stop at the first operand that decides, as in Go. */
static int eval_short(struct eval *ev, const struct node *c, const struct js *dot,
		      const struct js *const *last, const struct js **out)
{
	bool until = c->kids[0]->text[0] == 'o';
	size_t i;
	int rc;

	if (c->nkids == 1 && last == NULL)
		return err_set(ev->e, EINVAL,
			       "template: executing \"%s\": wrong number of args for %s: want at "
			       "least 1 got 0",
			       c->kids[0]->text, c->kids[0]->text);
	for (i = 1; i < c->nkids; i++) {
		rc = eval_operand(ev, c->kids[i], dot, out);
		if (rc < 0 || format_true(*out) == until)
			return rc;
	}
	if (last)
		*out = *last;
	return 0;
}

/* A command: a function with its arguments, or one operand. last: piped in, or NULL. */
static int eval_command(struct eval *ev, const struct node *c, const struct js *dot,
			const struct js *const *last, const struct js **out)
{
	const struct js *args[FORMAT_ARGS_MAX + 1], *base;
	const struct node *head = c->kids[0];
	int n = 0, rc;

	if (head->kind == NODE_CALL && (!strcmp(head->text, "and") || !strcmp(head->text, "or")))
		return eval_short(ev, c, dot, last, out);
	for (size_t i = 1; i < c->nkids; i++) {
		rc = eval_operand(ev, c->kids[i], dot, &args[n++]);
		if (rc < 0)
			return rc;
	}
	if (last)
		args[n++] = *last;
	if (head->kind == NODE_CALL)
		return call(ev, head, args, n, out);
	rc = eval_operand(ev, head, dot, &base);
	if (rc < 0)
		return rc;
	*out = base;
	if (n == 0)
		return 0;
	/* docker's rows have methods: {{.Label "key"}} */
	if (n == 1 && ev->header) {
		*out = label_title(ev, args[0]);
		return 0;
	}
	if (n == 1 && js_is_object(base))
		return format_index(ev, base, args[0], out);
	return err_set(ev->e, EINVAL, "template: can't give argument to what is no function");
}

static int set_var(struct eval *ev, const char *name, bool assign, const struct js *value)
{
	if (assign) {
		for (size_t i = ev->nvars; i-- > 0;) {
			if (strcmp(ev->vars[i].name, name) != 0)
				continue;
			ev->vars[i].value = value;
			return 0;
		}
		return err_set(ev->e, EINVAL, "template: undefined variable \"%s\"", name);
	}
	if (ev->nvars == FORMAT_VARS_MAX)
		return err_set(ev->e, EINVAL, "template: more than %d variables", FORMAT_VARS_MAX);
	ev->vars[ev->nvars].name = name;
	ev->vars[ev->nvars++].value = value;
	return 0;
}

/* The pipe's value without its declarations. */
static int eval_commands(struct eval *ev, const struct node *pipe, const struct js *dot,
			 const struct js **out)
{
	const struct js *value = NULL;

	if (ev->depth >= FORMAT_DEPTH_MAX)
		return err_set(ev->e, EINVAL, "template: too deep");
	ev->depth++;
	for (size_t i = 0; i < pipe->nkids; i++) {
		const struct js *last = value;
		int rc = eval_command(ev, pipe->kids[i], dot, i ? &last : NULL, &value);

		if (rc < 0)
			return rc;
	}
	ev->depth--;
	*out = value;
	return 0;
}

static int eval_pipe(struct eval *ev, const struct node *pipe, const struct js *dot,
		     const struct js **out)
{
	int rc = eval_commands(ev, pipe, dot, out);

	for (size_t i = 0; rc == 0 && i < pipe->decl.n; i++)
		rc = set_var(ev, pipe->decl.v[i], pipe->assign, *out);
	return rc;
}

/* One turn of a range. */
static int eval_turn(struct eval *ev, const struct node *n, const struct js *key,
		     const struct js *value)
{
	const struct strv *decl = &n->pipe->decl;
	size_t mark = ev->nvars;
	int rc = 0;

	if (decl->n == 2)
		rc = set_var(ev, decl->v[0], n->pipe->assign, key);
	if (rc == 0 && decl->n)
		rc = set_var(ev, decl->v[decl->n - 1], n->pipe->assign, value);
	if (rc == 0)
		rc = eval_list(ev, n->body, value);
	ev->nvars = mark;
	if (ev->flow == FLOW_CONTINUE)
		ev->flow = FLOW_ON;
	return rc;
}

static int range_map(struct eval *ev, const struct node *n, const struct js *map)
{
	own_strv struct strv keys = STRV_INIT;
	struct js *value;
	const char *key;
	void *it = NULL;
	int rc = 0;

	while (js_each(map, &it, &key, &value))
		strv_add(&keys, key);
	strv_sort(&keys);
	for (size_t i = 0; i < keys.n && rc == 0 && ev->flow != FLOW_BREAK; i++)
		rc = eval_turn(ev, n, eval_keep(ev, js_of_text(keys.v[i])), js_get(map, keys.v[i]));
	return rc;
}

static int eval_range(struct eval *ev, const struct node *n, const struct js *dot)
{
	const struct js *v;
	int rc = eval_commands(ev, n->pipe, dot, &v);

	if (rc < 0)
		return rc;
	if (js_len(v) == 0) {
		if (v && !js_is_null(v) && !js_is_array(v) && !js_is_object(v))
			return err_set(ev->e, EINVAL, "template: range can't iterate over it");
		return eval_list(ev, n->other, dot);
	}
	if (js_is_object(v))
		rc = range_map(ev, n, v);
	for (size_t i = 0; js_is_array(v) && i < js_len(v) && rc == 0 && ev->flow != FLOW_BREAK;
	     i++)
		rc = eval_turn(ev, n, eval_keep(ev, js_of_int((int64_t)i)), js_at(v, i));
	if (ev->flow == FLOW_BREAK)
		ev->flow = FLOW_ON;
	return rc;
}

/*
 * A field that is null, by itself: Go prints a list of its type as [], a map as map[], and what is
 * behind a pointer as <nil>. JSON does not tell these apart; the names do.
 */
static const char *null_text(const struct node *pipe)
{
	static const char *const lists[] = {
		"Aliases",     "Args",
		"Binds",       "CapAdd",
		"CapDrop",     "Cmd",
		"DNSNames",    "DeviceCgroupRules",
		"Entrypoint",  "DeviceRequests",
		"Env",	       "ExecIDs",
		"ExtraHosts",  "GroupAdd",
		"Links",       "MaskedPaths",
		"OnBuild",     "ReadonlyPaths",
		"SecurityOpt", "SecondaryIPAddresses",
		"VolumesFrom", "SecondaryIPv6Addresses",
		"Shell",       "Warnings",
	};
	const struct node *word =
		pipe->nkids == 1 && pipe->kids[0]->nkids == 1 ? pipe->kids[0]->kids[0] : NULL;
	const char *field;

	if (word == NULL || (word->kind != NODE_DOT && word->kind != NODE_VAR) ||
	    word->fields.n == 0)
		return "<nil>";
	field = word->fields.v[word->fields.n - 1];
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(lists[i], field) == 0)
			return "[]";
	return is_map(field) ? "map[]" : "<nil>";
}

static int eval_node(struct eval *ev, const struct node *n, const struct js *dot)
{
	const struct js *v = NULL;
	size_t mark = ev->nvars;
	int rc;

	switch (n->kind) {
	case NODE_TEXT:
		str_add_mem(ev->out, n->text, n->len);
		return 0;
	case NODE_ACTION:
		rc = eval_pipe(ev, n->pipe, dot, &v);
		if (rc == 0 && n->pipe->decl.n == 0 && v && js_is_null(v))
			str_add(ev->out, null_text(n->pipe));
		else if (rc == 0 && n->pipe->decl.n == 0)
			format_print(v, ev->out);
		return rc;
	case NODE_IF:
	case NODE_WITH:
		rc = eval_pipe(ev, n->pipe, dot, &v);
		if (rc == 0 && format_true(v))
			rc = eval_list(ev, n->body, n->kind == NODE_WITH ? v : dot);
		else if (rc == 0)
			rc = eval_list(ev, n->other, dot);
		ev->nvars = mark;
		return rc;
	case NODE_RANGE:
		return eval_range(ev, n, dot);
	case NODE_BREAK:
		ev->flow = FLOW_BREAK;
		return 0;
	case NODE_CONTINUE:
		ev->flow = FLOW_CONTINUE;
		return 0;
	default:
		return err_set(ev->e, EINVAL, "template: unexpected node");
	}
}

static int eval_list(struct eval *ev, const struct node *n, const struct js *dot)
{
	int rc = 0;

	for (; n && rc == 0 && ev->flow == FLOW_ON; n = n->next)
		rc = eval_node(ev, n, dot);
	return rc;
}

static int run(const struct format *f, struct eval *ev)
{
	int rc = eval_list(ev, f->list, ev->root);

	for (size_t i = 0; i < ev->nmade; i++)
		js_free(ev->made[i]);
	free(ev->made);
	return rc;
}

int format_run(const struct format *f, const struct js *data, bool header, struct str *out,
	       struct err *e)
{
	struct eval ev = { .root = data, .header = header, .e = e, .out = out };

	return run(f, &ev);
}

int format_run_more(const struct format *f, const struct js *data, const struct js *more,
		    struct str *out, struct err *e)
{
	struct eval ev = { .root = data, .more = more, .e = e, .out = out };

	return run(f, &ev);
}
