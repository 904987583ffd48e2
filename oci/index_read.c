/* index_read.c: index.json's text becomes the list of images; see store.h. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "oci/manifest.h"
#include "oci/store_impl.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/*
 * Theory of operation
 *
 * A store of a thousand images has an index of 600 KB, and most commands read it. As a tree of
 * JSON values that costs a hundred million instructions, nearly all of a listing. So the entries
 * that zl itself has written, with nothing in them but plain text, are read where they stand; the
 * order of keys and white space do not matter. Every other entry, as other programs write them,
 * is cut out by its brackets and goes through the JSON library; and where even that cannot be
 * done the whole text does, which then also says what is wrong with it. Both ways must come to
 * the same list: what is read in place is therefore stricter than JSON, never laxer.
 */

/* ---- by the JSON library ---- */

static bool number_of(const struct js *annotations, const char *key, uint64_t max, uint64_t *out)
{
	const char *text = js_text(js_get(annotations, key));

	return text && parse_u64(text, 0, max, out);
}

static void known_from_json(struct store_image *i, const struct js *a)
{
	const char *id = js_text(js_get(a, ANN_ID)), *source = js_text(js_get(a, ANN_SOURCE));
	const char *platform = js_text(js_get(a, ANN_PLATFORM));
	uint64_t created, tagged;

	if (id == NULL || source == NULL || digest_parse(id, &i->id, NULL) < 0 ||
	    digest_parse(source, &i->source, NULL) < 0 ||
	    !number_of(a, ANN_SIZE, UINT64_MAX, &i->size) ||
	    !number_of(a, ANN_CREATED, INT64_MAX, &created))
		return;
	i->created = (int64_t)created;
	if (number_of(a, ANN_TAGGED, INT64_MAX, &tagged))
		i->tagged = (int64_t)tagged;
	i->platform = xstrdup(platform ? platform : "");
	i->known = true;
}

/* False: not an entry we can do anything with. */
static bool image_from_json(struct store_image *i, const struct js *j)
{
	const struct js *a = js_get(j, "annotations");
	const char *digest = js_text(js_get(j, "digest"));
	const char *media_type = js_text(js_get(j, "mediaType"));
	const char *name = js_text(js_get(a, ANN_REF));
	int64_t size;

	*i = (struct store_image){ 0 };
	if (digest == NULL || digest_parse(digest, &i->manifest, NULL) < 0 ||
	    !js_int(js_get(j, "size"), &size) || size < 0)
		return false;
	i->manifest_size = (uint64_t)size;
	i->media_type = xstrdup(media_type ? media_type : MEDIA_OCI_MANIFEST);
	i->name = name && *name ? xstrdup(name) : NULL;
	known_from_json(i, a);
	if (!i->known) {
		i->source = i->manifest;
		i->platform = xstrdup("");
		i->foreign = js_copy(j);
	}
	return true;
}

static void add_json(struct store_images *out, const struct js *j)
{
	struct store_image image;

	if (image_from_json(&image, j))
		*images_grow(out) = image;
	else
		store_image_free(&image);
}

int images_parse_json(const char *text, size_t n, struct store_images *out, struct err *e)
{
	own_js struct js *j = js_parse(text, n, e);
	struct js *list = js_get(j, "manifests");

	*out = (struct store_images){ 0 };
	if (j == NULL)
		return -EBADMSG;
	if (!js_is_array(list))
		return err_set(e, EBADMSG, "it has no manifests");
	for (size_t i = 0; i < js_len(list); i++)
		add_json(out, js_at(list, i));
	return 0;
}

/* ---- in place ---- */

struct scan {
	const char *p, *end;
};

/* A part of what is scanned; s NULL: absent. */
struct piece {
	const char *s;
	size_t n;
};

/* Passes over white space, and then over c if it is there. */
static bool scan_char(struct scan *x, char c)
{
	while (x->p < x->end && (*x->p == ' ' || *x->p == '\n' || *x->p == '\t' || *x->p == '\r'))
		x->p++;
	if (x->p == x->end || *x->p != c)
		return false;
	x->p++;
	return true;
}

/* What stands for itself in a string: printable ASCII but quote and backslash. */
static const bool plain[UCHAR_MAX + 1] = {
	[' ' ... '!'] = true,
	['#' ... '['] = true,
	[']' ... '~'] = true,
};

static bool scan_text(struct scan *x, struct piece *out)
{
	const char *p;

	if (!scan_char(x, '"'))
		return false;
	for (p = x->p; p < x->end && plain[(unsigned char)*p];)
		p++;
	if (p == x->end || *p != '"')
		return false;
	*out = (struct piece){ x->p, (size_t)(p - x->p) };
	x->p = p + 1;
	return true;
}

/* The digits of a whole number; what follows them the caller looks at. */
static bool scan_digits(struct scan *x, struct piece *out)
{
	const char *p;

	(void)scan_char(x, ' ');
	for (p = x->p; p < x->end && *p >= '0' && *p <= '9';)
		p++;
	*out = (struct piece){ x->p, (size_t)(p - x->p) };
	x->p = p;
	return out->n == 1 || (out->n > 1 && *out->s != '0');
}

/* The next key of an object: 1; its end: 0; anything else: -1. */
static int scan_key(struct scan *x, bool first, struct piece *key)
{
	if (scan_char(x, '}'))
		return 0;
	if (!first && !scan_char(x, ','))
		return -1;
	return scan_text(x, key) && scan_char(x, ':') ? 1 : -1;
}

/* Any value, cut out by brackets and quotes alone: whether it is JSON is for the library to say. */
static bool scan_value(struct scan *x, struct piece *out)
{
	size_t depth = 0;
	const char *p = x->p;

	for (; p < x->end && (depth || (*p != ',' && *p != '}' && *p != ']')); p++) {
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		if (*p != '"')
			continue;
		for (p++; p < x->end && *p != '"'; p++)
			p += *p == '\\' && p + 1 < x->end;
		if (p == x->end)
			return false;
	}
	*out = (struct piece){ x->p, (size_t)(p - x->p) };
	x->p = p;
	return depth == 0;
}

enum field {
	FIELD_DIGEST,
	FIELD_MEDIA_TYPE,
	FIELD_SIZE,
	FIELD_NAME,
	FIELD_ID,
	FIELD_SOURCE,
	FIELD_BYTES,
	FIELD_CREATED,
	FIELD_PLATFORM,
	FIELD_TAGGED,
	FIELDS
};

static const char *const annotations[FIELDS] = {
	[FIELD_NAME] = ANN_REF,	     [FIELD_ID] = ANN_ID,	    [FIELD_SOURCE] = ANN_SOURCE,
	[FIELD_BYTES] = ANN_SIZE,    [FIELD_CREATED] = ANN_CREATED, [FIELD_PLATFORM] = ANN_PLATFORM,
	[FIELD_TAGGED] = ANN_TAGGED,
};

static bool piece_is(const struct piece *p, const char *text)
{
	return strlen(text) == p->n && memcmp(p->s, text, p->n) == 0;
}

/* An object whose values are all plain text; those of annotations go to their fields. */
static bool scan_texts(struct scan *x, struct piece *fields)
{
	struct piece key, value;
	int rc;

	if (!scan_char(x, '{'))
		return false;
	for (bool first = true; (rc = scan_key(x, first, &key)) > 0; first = false) {
		if (!scan_text(x, &value))
			return false;
		for (size_t i = 0; fields && i < FIELDS; i++) {
			if (annotations[i] == NULL || !piece_is(&key, annotations[i]))
				continue;
			if (fields[i].s) /* twice: whoever is right */
				return false;
			fields[i] = value;
		}
	}
	return rc == 0;
}

static bool scan_fields(struct scan *x, struct piece *fields)
{
	bool texts = false, platform = false;
	struct piece key;
	int rc;

	if (!scan_char(x, '{'))
		return false;
	for (bool first = true; (rc = scan_key(x, first, &key)) > 0; first = false) {
		bool ok = false;

		if (piece_is(&key, "digest") && fields[FIELD_DIGEST].s == NULL)
			ok = scan_text(x, &fields[FIELD_DIGEST]);
		else if (piece_is(&key, "mediaType") && fields[FIELD_MEDIA_TYPE].s == NULL)
			ok = scan_text(x, &fields[FIELD_MEDIA_TYPE]);
		else if (piece_is(&key, "size") && fields[FIELD_SIZE].s == NULL)
			ok = scan_digits(x, &fields[FIELD_SIZE]);
		else if (piece_is(&key, "annotations") && !texts)
			ok = texts = scan_texts(x, fields);
		else if (piece_is(&key, "platform") && !platform)
			ok = platform = scan_texts(x, NULL);
		if (!ok)
			return false;
	}
	return rc == 0;
}

static bool piece_digest(const struct piece *p, struct digest *out)
{
	char text[DIGEST_TEXT_MAX] = "";

	if (p->n != DIGEST_TEXT_LEN)
		return false;
	memcpy(text, p->s, DIGEST_TEXT_LEN);
	return digest_parse(text, out, NULL) == 0;
}

static bool piece_number(const struct piece *p, uint64_t max, uint64_t *out)
{
	char text[24] = "";

	if (p->n >= sizeof(text))
		return false;
	memcpy(text, p->s ? p->s : "", p->n);
	return parse_u64(text, 0, max, out);
}

static char *piece_dup(const struct piece *p, const char *absent)
{
	return p->s ? xstrndup(p->s, p->n) : xstrdup(absent);
}

/* False, with the scan where it was: not an entry as zl writes it. */
static bool scan_image(struct scan *x, struct store_image *i)
{
	struct piece f[FIELDS] = { 0 };
	struct scan after = *x;
	uint64_t created, tagged = 0;

	*i = (struct store_image){ .known = true };
	if (!scan_fields(&after, f) || !piece_digest(&f[FIELD_DIGEST], &i->manifest) ||
	    !piece_digest(&f[FIELD_ID], &i->id) || !piece_digest(&f[FIELD_SOURCE], &i->source) ||
	    !piece_number(&f[FIELD_SIZE], INT64_MAX, &i->manifest_size) ||
	    !piece_number(&f[FIELD_BYTES], UINT64_MAX, &i->size) ||
	    !piece_number(&f[FIELD_CREATED], INT64_MAX, &created) ||
	    (f[FIELD_TAGGED].s && !piece_number(&f[FIELD_TAGGED], INT64_MAX, &tagged)))
		return false;
	i->tagged = (int64_t)tagged;
	i->created = (int64_t)created;
	i->name = f[FIELD_NAME].n ? piece_dup(&f[FIELD_NAME], "") : NULL;
	i->media_type = piece_dup(&f[FIELD_MEDIA_TYPE], MEDIA_OCI_MANIFEST);
	i->platform = piece_dup(&f[FIELD_PLATFORM], "");
	*x = after;
	return true;
}

static bool scan_images(struct scan *x, struct store_images *out)
{
	if (!scan_char(x, '['))
		return false;
	for (bool first = true; !scan_char(x, ']'); first = false) {
		own_js struct js *j = NULL;
		struct store_image image;
		struct piece raw;

		if (!first && !scan_char(x, ','))
			return false;
		if (scan_image(x, &image)) {
			*images_grow(out) = image;
			continue;
		}
		if (!scan_value(x, &raw) || (j = js_parse(raw.s, raw.n, NULL)) == NULL)
			return false;
		add_json(out, j);
	}
	return true;
}

static bool scan_index(struct scan *x, struct store_images *out)
{
	struct piece key, raw;
	bool found = false;
	int rc;

	if (!scan_char(x, '{'))
		return false;
	for (bool first = true; (rc = scan_key(x, first, &key)) > 0; first = false) {
		own_js struct js *j = NULL;

		if (piece_is(&key, "manifests")) {
			if (found || !scan_images(x, out))
				return false;
			found = true;
		} else if (!scan_value(x, &raw) || (j = js_parse(raw.s, raw.n, NULL)) == NULL) {
			return false;
		}
	}
	(void)scan_char(x, ' '); /* white space at the end */
	return rc == 0 && found && x->p == x->end;
}

int images_parse(const char *text, size_t n, struct store_images *out, struct err *e)
{
	struct scan x = { text, text + n };

	*out = (struct store_images){ 0 };
	if (scan_index(&x, out))
		return 0;
	store_images_free(out);
	return images_parse_json(text, n, out, e);
}
