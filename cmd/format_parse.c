/* format_parse.c: the text of a template becomes a tree; see format.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/format.h"
#include "cmd/format_ast.h"

/* JSON knows no infinity. */
#define NUMBER_MAX 1e300

enum token {
	T_END,	 /* }} or -}} */
	T_FIELD, /* .Name */
	T_DOT,
	T_VAR, /* $ or $name */
	T_WORD,
	T_VALUE, /* string, number, character */
	T_OPEN,
	T_CLOSE,
	T_PIPE,
	T_DECLARE,
	T_ASSIGN,
	T_COMMA,
	T_BAD, /* the error is set */
};

struct parser {
	const char *start, *p;
	struct err *e;
	enum token token;
	bool space;	  /* white space stood in front of the token */
	struct str word;  /* T_FIELD, T_VAR, T_WORD */
	struct js *value; /* T_VALUE */
	bool trim;	  /* the action ended in -}} */
	unsigned depth, loops;
};

/* The first mistake is the one to tell. */
static int bad(struct parser *p, const char *what)
{
	if (p->token == T_BAD)
		return -EINVAL;
	p->token = T_BAD;
	return err_set(p->e, EINVAL, "template parsing error: %s (at character %zu)", what,
		       (size_t)(p->p - p->start) + 1);
}

void node_free(struct node *n)
{
	while (n) {
		struct node *next = n->next;

		free(n->text);
		strv_free(&n->fields);
		strv_free(&n->decl);
		js_free(n->value);
		node_free(n->pipe);
		node_free(n->body);
		node_free(n->other);
		for (size_t i = 0; i < n->nkids; i++)
			node_free(n->kids[i]);
		free(n->kids);
		free(n);
		n = next;
	}
}

static struct node *node_new(enum node_kind kind)
{
	struct node *n = xcalloc(1, sizeof(*n));

	n->kind = kind;
	return n;
}

static void node_add(struct node *parent, struct node *kid)
{
	parent->kids = xrealloc(parent->kids, (parent->nkids + 1) * sizeof(struct node *));
	parent->kids[parent->nkids++] = kid;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (c & 0x80);
}

static void lex_name(struct parser *p)
{
	const char *from = p->p;

	while (is_word(*p->p))
		p->p++;
	str_add_mem(&p->word, from, (size_t)(p->p - from));
}

static void add_utf8(struct str *s, unsigned long c)
{
	if (c < 0x80) {
		str_add_char(s, (char)c);
	} else if (c < 0x800) {
		str_add_char(s, (char)(0xc0 | c >> 6));
		str_add_char(s, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		str_add_char(s, (char)(0xe0 | c >> 12));
		str_add_char(s, (char)(0x80 | (c >> 6 & 0x3f)));
		str_add_char(s, (char)(0x80 | (c & 0x3f)));
	} else {
		str_add_char(s, (char)(0xf0 | (c >> 18 & 7)));
		str_add_char(s, (char)(0x80 | (c >> 12 & 0x3f)));
		str_add_char(s, (char)(0x80 | (c >> 6 & 0x3f)));
		str_add_char(s, (char)(0x80 | (c & 0x3f)));
	}
}

/* What follows a backslash; p->p stands on it. */
static int lex_escape(struct parser *p, struct str *s)
{
	static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
	const char *at = *p->p ? strchr(from, *p->p) : NULL;
	size_t digits = *p->p == 'x' ? 2 : *p->p == 'u' ? 4 : *p->p == 'U' ? 8 : 0;
	char hex[9] = "";
	char *end;

	if (at) {
		str_add_char(s, to[at - from]);
		p->p++;
		return 0;
	}
	for (size_t i = 0; i < digits && p->p[1 + i]; i++)
		hex[i] = p->p[1 + i];
	if (digits == 0 || strspn(hex, "0123456789abcdefABCDEF") != digits)
		return bad(p, "unknown escape sequence");
	if (digits == 2)
		str_add_char(s, (char)strtoul(hex, &end, 16));
	else
		add_utf8(s, strtoul(hex, &end, 16));
	p->p += 1 + digits;
	return 0;
}

/* "..." or '.': p->p stands behind the first quote. */
static int lex_quoted(struct parser *p, char quote)
{
	own_str struct str s = STR_INIT;
	const unsigned char *c;

	while (*p->p != quote) {
		if (*p->p == 0 || *p->p == '\n')
			return bad(p, "unterminated quoted string");
		if (*p->p != '\\') {
			str_add_char(&s, *p->p++);
			continue;
		}
		p->p++;
		if (lex_escape(p, &s) < 0)
			return -EINVAL;
	}
	p->p++;
	c = (const unsigned char *)s.s;
	if (quote == '"')
		p->value = js_of_mem(s.s ? s.s : "", s.len);
	else if (s.len == 1)
		p->value = js_of_int(c[0]);
	else
		return bad(p, "malformed character constant");
	p->token = T_VALUE;
	return 0;
}

static int lex_raw(struct parser *p)
{
	const char *end = strchr(p->p, '`');

	if (end == NULL)
		return bad(p, "unterminated raw quoted string");
	p->value = js_of_mem(p->p, (size_t)(end - p->p));
	p->p = end + 1;
	p->token = T_VALUE;
	return 0;
}

static int lex_number(struct parser *p)
{
	const char *from = p->p;
	char *end, *dot;
	long long i;
	double r;
	bool is_real;

	errno = 0;
	i = strtoll(from, &end, 0);
	r = strtod(from, &dot);
	is_real = dot > end;
	end = is_real ? dot : end;
	if (end == from || is_word(*end) || errno || r > NUMBER_MAX || r < -NUMBER_MAX)
		return bad(p, "bad number");
	p->value = is_real ? js_of_real(r) : js_of_int(i);
	p->p = end;
	p->token = T_VALUE;
	return 0;
}

/* Whether p->p stands before "}}" or " -}}". */
static bool at_end(struct parser *p)
{
	if (strncmp(p->p, "-}}", 3) == 0 && p->space) {
		p->trim = true;
		p->p += 3;
		return true;
	}
	if (strncmp(p->p, "}}", 2) == 0) {
		p->trim = false;
		p->p += 2;
		return true;
	}
	return false;
}

static int lex_sign(struct parser *p)
{
	static const struct {
		const char *text;
		enum token token;
	} signs[] = {
		{ "(", T_OPEN },     { ")", T_CLOSE },	{ "|", T_PIPE },
		{ ":=", T_DECLARE }, { "=", T_ASSIGN }, { ",", T_COMMA },
	};

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (!str_starts(p->p, signs[i].text))
			continue;
		p->p += strlen(signs[i].text);
		p->token = signs[i].token;
		return 0;
	}
	if (*p->p == 0)
		return bad(p, "unclosed action");
	return bad(p, "unexpected character in command");
}

/* Reads the next token of an action. */
static int next(struct parser *p)
{
	const char *from = p->p;

	if (p->token == T_BAD)
		return -EINVAL;
	while (is_space(*p->p))
		p->p++;
	p->space = p->p > from;
	p->word.len = 0;
	js_free(p->value);
	p->value = NULL;
	if (at_end(p)) {
		p->token = T_END;
	} else if (*p->p == '.' && !(p->p[1] >= '0' && p->p[1] <= '9')) {
		p->p++;
		p->token = is_word(*p->p) ? T_FIELD : T_DOT;
		lex_name(p);
	} else if (*p->p == '$') {
		str_add_char(&p->word, *p->p++);
		p->token = T_VAR;
		lex_name(p);
	} else if (*p->p == '"' || *p->p == '\'') {
		p->p++;
		return lex_quoted(p, p->p[-1]);
	} else if (*p->p == '`') {
		p->p++;
		return lex_raw(p);
	} else if ((*p->p >= '0' && *p->p <= '9') || *p->p == '.' ||
		   ((*p->p == '-' || *p->p == '+') && p->p[1] >= '.' && p->p[1] <= '9')) {
		return lex_number(p);
	} else if (is_word(*p->p)) {
		p->token = T_WORD;
		lex_name(p);
	} else {
		return lex_sign(p);
	}
	return 0;
}

static bool word_is(const struct parser *p, const char *w)
{
	return p->token == T_WORD && strcmp(p->word.s, w) == 0;
}

static struct node *parse_pipe(struct parser *p, enum token end);

/* A word that names a constant or a function. */
static struct node *parse_word(struct parser *p)
{
	struct node *n;

	if (word_is(p, "true") || word_is(p, "false")) {
		n = node_new(NODE_VALUE);
		n->value = js_of_bool(word_is(p, "true"));
	} else if (word_is(p, "nil")) {
		n = node_new(NODE_VALUE);
	} else if (format_fn_find(p->word.s)) {
		n = node_new(NODE_CALL);
		n->text = xstrdup(p->word.s);
	} else {
		err_set(p->e, EINVAL, "template parsing error: function \"%s\" not defined",
			p->word.s);
		p->token = T_BAD;
		return NULL;
	}
	return n;
}

/* One operand, with the fields that follow it at once. NULL: no operand, or an error. */
static struct node *parse_operand(struct parser *p)
{
	struct node *n = NULL;

	switch (p->token) {
	case T_DOT:
		n = node_new(NODE_DOT);
		break;
	case T_FIELD:
		n = node_new(NODE_DOT);
		strv_add(&n->fields, p->word.s);
		break;
	case T_VAR:
		n = node_new(NODE_VAR);
		n->text = xstrdup(p->word.s);
		break;
	case T_WORD:
		n = parse_word(p);
		break;
	case T_VALUE:
		n = node_new(NODE_VALUE);
		n->value = p->value;
		p->value = NULL;
		break;
	case T_OPEN:
		if (++p->depth > FORMAT_DEPTH_MAX) {
			bad(p, "too deep");
			return NULL;
		}
		next(p);
		n = node_new(NODE_PAREN);
		n->pipe = parse_pipe(p, T_CLOSE);
		p->depth--;
		break;
	default:
		return NULL;
	}
	next(p);
	while (p->token == T_FIELD && !p->space && n && n->kind != NODE_VALUE &&
	       n->kind != NODE_CALL) {
		strv_add(&n->fields, p->word.s);
		next(p);
	}
	return n;
}

static struct node *parse_command(struct parser *p)
{
	struct node *c = node_new(NODE_COMMAND), *word;

	while ((word = parse_operand(p)) != NULL) {
		node_add(c, word);
		if (c->nkids > FORMAT_ARGS_MAX) {
			bad(p, "too many arguments");
			break;
		}
		if (p->token != T_END && p->token != T_CLOSE && p->token != T_PIPE && !p->space &&
		    p->token != T_BAD)
			bad(p, "operands need a space between them");
	}
	if (c->nkids == 0 && p->token != T_BAD)
		bad(p, "missing value for command");
	if (c->nkids > 1 && c->kids[0]->kind == NODE_VALUE && p->token != T_BAD)
		bad(p, "can't give argument to a value that is no function");
	return c;
}

/* Whether what follows the first variable makes it a declaration. */
static bool decl_ahead(const char *s)
{
	s += strspn(s, " \t\r\n");
	if (*s == ',') {
		s += 1 + strspn(s + 1, " \t\r\n");
		if (*s++ != '$')
			return false;
		while (is_word(*s))
			s++;
		s += strspn(s, " \t\r\n");
	}
	return str_starts(s, ":=") || *s == '=';
}

/* "$v :=", "$i, $v :=", "$v =". */
static void parse_decl(struct parser *p, struct node *pipe)
{
	while (p->token == T_VAR) {
		strv_add(&pipe->decl, p->word.s);
		next(p);
		if (p->token == T_COMMA)
			next(p);
	}
	pipe->assign = p->token == T_ASSIGN;
	next(p);
}

/* Reads up to and past `end`. */
static struct node *parse_pipe(struct parser *p, enum token end)
{
	struct node *pipe = node_new(NODE_PIPE);

	if (p->token == T_VAR && decl_ahead(p->p))
		parse_decl(p, pipe);
	for (;;) {
		node_add(pipe, parse_command(p));
		if (p->token != T_PIPE)
			break;
		next(p);
	}
	if (p->token != end && p->token != T_BAD)
		bad(p, end == T_CLOSE ? "unclosed left parenthesis" : "unexpected token in action");
	return pipe;
}

/* What ended a list. */
enum stop {
	STOP_EOF,
	STOP_END,
	STOP_ELSE, /* the token after `else` is the current one */
};

static struct node *parse_list(struct parser *p, enum stop *stop);

/* Behind the pipe of if, with or range: body, else, end. */
static void parse_block(struct parser *p, struct node *n)
{
	enum stop stop;

	if (++p->depth > FORMAT_DEPTH_MAX) {
		bad(p, "too deep");
		return;
	}
	p->loops += n->kind == NODE_RANGE;
	n->body = parse_list(p, &stop);
	p->loops -= n->kind == NODE_RANGE;
	if (stop == STOP_ELSE && p->token == T_WORD && n->kind != NODE_RANGE) {
		/* {{else if}}: a block in our else, ended by our end */
		enum node_kind kind = word_is(p, "if") ? NODE_IF : NODE_WITH;

		if (!word_is(p, "if") && !word_is(p, "with"))
			bad(p, "unexpected word after else");
		next(p);
		n->other = node_new(kind);
		n->other->pipe = parse_pipe(p, T_END);
		parse_block(p, n->other);
	} else if (stop == STOP_ELSE) {
		if (p->token != T_END)
			bad(p, "unexpected token after else");
		n->other = parse_list(p, &stop);
		if (stop == STOP_ELSE)
			bad(p, "expected end; found else");
	}
	if (stop == STOP_EOF)
		bad(p, "unexpected end of the template: a block has no {{end}}");
	p->depth--;
}

/* An action that begins with a keyword, or NULL. */
static struct node *parse_keyword(struct parser *p)
{
	static const struct {
		const char *word;
		enum node_kind kind;
	} blocks[] = {
		{ "if", NODE_IF },	 { "with", NODE_WITH },		{ "range", NODE_RANGE },
		{ "break", NODE_BREAK }, { "continue", NODE_CONTINUE },
	};
	struct node *n;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		if (!word_is(p, blocks[i].word))
			continue;
		n = node_new(blocks[i].kind);
		next(p);
		if (n->kind == NODE_BREAK || n->kind == NODE_CONTINUE) {
			if (p->loops == 0)
				bad(p, "break or continue outside of range");
			else if (p->token != T_END)
				bad(p, "unexpected token in action");
			return n;
		}
		n->pipe = parse_pipe(p, T_END);
		parse_block(p, n);
		return n;
	}
	if (word_is(p, "define") || word_is(p, "template") || word_is(p, "block"))
		bad(p, "define, template and block are not supported");
	return NULL;
}

/* Passes over a comment; p->p stands behind "{{" or "{{-". */
static bool skip_comment(struct parser *p)
{
	const char *from = p->p + strspn(p->p, " \t\r\n"), *end;

	if (!str_starts(from, "/*"))
		return false;
	end = strstr(from + 2, "*/");
	if (end == NULL) {
		bad(p, "unclosed comment");
		return true;
	}
	p->p = end + 2;
	p->space = is_space(*p->p);
	p->p += strspn(p->p, " \t\r\n");
	if (!at_end(p))
		bad(p, "comment ends before closing delimiter");
	return true;
}

/* The text up to the next action; NULL where there is none. */
static struct node *parse_text(struct parser *p)
{
	const char *from = p->p, *open = strstr(from, "{{");
	const char *end = open ? open : from + strlen(from);
	struct node *n;

	p->p = end;
	if (p->trim)
		while (from < end && is_space(*from))
			from++;
	p->trim = false;
	if (open && open[2] == '-' && is_space(open[3]))
		while (end > from && is_space(end[-1]))
			end--;
	if (from == end)
		return NULL;
	n = node_new(NODE_TEXT);
	n->text = xstrndup(from, (size_t)(end - from));
	n->len = (size_t)(end - from);
	return n;
}

/* One action behind "{{"; NULL where it made no node. *stop is set when it ends the list. */
static struct node *parse_action(struct parser *p, bool *stopped, enum stop *stop)
{
	struct node *n;

	if (skip_comment(p))
		return NULL;
	next(p);
	if (word_is(p, "end") || word_is(p, "else")) {
		*stop = word_is(p, "end") ? STOP_END : STOP_ELSE;
		*stopped = true;
		next(p);
		if (*stop == STOP_END && p->token != T_END)
			bad(p, "unexpected token in end");
		return NULL;
	}
	n = parse_keyword(p);
	if (n == NULL && p->token != T_BAD) {
		n = node_new(NODE_ACTION);
		n->pipe = parse_pipe(p, T_END);
	}
	return n;
}

static struct node *parse_list(struct parser *p, enum stop *stop)
{
	struct node *list = NULL, **tail = &list;
	bool stopped = false;

	*stop = STOP_EOF;
	while (p->token != T_BAD && !stopped) {
		struct node *n = parse_text(p);

		if (n) {
			*tail = n;
			tail = &n->next;
		}
		if (*p->p == 0)
			break;
		p->p += 2;
		if (*p->p == '-' && is_space(p->p[1]))
			p->p++;
		n = parse_action(p, &stopped, stop);
		if (n) {
			*tail = n;
			tail = &n->next;
		}
	}
	return list;
}

struct format *format_parse(const char *text, struct err *e)
{
	struct parser p = { .start = text, .p = text, .e = e, .token = T_END };
	struct format *f = xcalloc(1, sizeof(*f));
	enum stop stop;

	f->list = parse_list(&p, &stop);
	if (p.token != T_BAD && stop != STOP_EOF)
		bad(&p, stop == STOP_END ? "unexpected {{end}}" : "unexpected {{else}}");
	str_free(&p.word);
	js_free(p.value);
	if (p.token == T_BAD) {
		format_free(f);
		return NULL;
	}
	return f;
}

void format_free(struct format *f)
{
	if (f)
		node_free(f->list);
	free(f);
}

void format_free_(struct format **f)
{
	format_free(*f);
}

char *format_unescape(const char *text)
{
	struct str s = STR_INIT;

	for (; *text; text++) {
		if (text[0] == '\\' && (text[1] == 't' || text[1] == 'n'))
			str_add_char(&s, *++text == 't' ? '\t' : '\n');
		else
			str_add_char(&s, *text);
	}
	return str_steal(&s);
}
