/* inspect_image.c: an image in docker's JSON: names, types and nesting are docker's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/human.h"
#include "cmd/inspect.h"
#include "runtime/base/own.h"

static void push_unique(struct js *list, const char *text)
{
	for (size_t i = 0; i < js_len(list); i++)
		if (strcmp(js_text(js_at(list, i)), text) == 0)
			return;
	js_push(list, js_of_text(text));
}

/* One name of the image: to RepoTags, and its repository with the digest to RepoDigests. */
static void add_name(const struct image *i, struct js *tags, struct js *digests)
{
	own_free char *repository = NULL, *tag = NULL, *familiar = NULL;

	if (i->name == NULL)
		return;
	image_name_split(i->name, &repository, &tag);
	familiar = image_name_familiar(i->name);
	if (familiar && tag && *tag && strcmp(tag, "<none>") != 0 && strchr(i->name, '@') == NULL)
		push_unique(tags, familiar);
	if (repository && i->digest[0]) {
		own_free char *pinned = xasprintf("%s@%s", repository, i->digest);

		push_unique(digests, pinned);
	}
}

static void add_names(struct js *j, const struct image *image, const struct image_list *all)
{
	struct js *tags = js_array(), *digests = js_array();

	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->v[i]->id, image->id) == 0)
			add_name(all->v[i], tags, digests);
	js_set(j, "RepoTags", tags);
	js_set(j, "RepoDigests", digests);
}

static void copy_text(struct js *to, const char *key, const struct js *from, const char *from_key)
{
	const char *s = js_text(js_get(from, from_key));

	js_set_text(to, key, s ? s : "");
}

/* A field of the config as it is, or null. */
static void copy_any(struct js *to, const char *key, const struct js *from)
{
	const struct js *v = js_get(from, key);

	js_set(to, key, v ? js_copy(v) : js_null());
}

static struct js *config_of(const struct js *c)
{
	static const char *const optional[] = { "ExposedPorts", "Healthcheck", "StopSignal",
						"Shell",	"ArgsEscaped", "StopTimeout" };
	struct js *j = js_object();

	copy_text(j, "Hostname", c, "Hostname");
	copy_text(j, "Domainname", c, "Domainname");
	copy_text(j, "User", c, "User");
	js_set_bool(j, "AttachStdin", js_true(js_get(c, "AttachStdin")));
	js_set_bool(j, "AttachStdout", js_true(js_get(c, "AttachStdout")));
	js_set_bool(j, "AttachStderr", js_true(js_get(c, "AttachStderr")));
	js_set_bool(j, "Tty", js_true(js_get(c, "Tty")));
	js_set_bool(j, "OpenStdin", js_true(js_get(c, "OpenStdin")));
	js_set_bool(j, "StdinOnce", js_true(js_get(c, "StdinOnce")));
	copy_any(j, "Env", c);
	copy_any(j, "Cmd", c);
	copy_text(j, "Image", c, "Image");
	copy_any(j, "Volumes", c);
	copy_text(j, "WorkingDir", c, "WorkingDir");
	copy_any(j, "Entrypoint", c);
	copy_any(j, "OnBuild", c);
	copy_any(j, "Labels", c);
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (js_get(c, optional[i]))
			copy_any(j, optional[i], c);
	return j;
}

static struct js *rootfs_of(const struct js *config)
{
	struct js *j = js_object();
	const struct js *ids = js_get(js_get(config, "rootfs"), "diff_ids");

	js_set_text(j, "Type", "layers");
	js_set(j, "Layers", js_is_array(ids) ? js_copy(ids) : js_array());
	return j;
}

static struct js *graph_of(const struct image *i)
{
	struct js *j = js_object(), *data = js_object();

	js_set(data, "Layers", js_of_strings(&i->layers));
	js_set(j, "Data", data);
	js_set_text(j, "Name", "zl");
	return j;
}

/* When somebody last gave it a name; pulling and loading do not count. */
static struct js *metadata_of(const struct image *image, const struct image_list *all)
{
	struct js *j = js_object();
	int64_t last = 0;
	char text[64];

	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->v[i]->id, image->id) == 0 && all->v[i]->tagged > last)
			last = all->v[i]->tagged;
	rfc3339(last, text, sizeof(text));
	js_set_text(j, "LastTagTime", text);
	return j;
}

/* docker's builders say it of each step, not of the image. */
static void add_comment(struct js *j, const struct js *config)
{
	const struct js *history = js_get(config, "history");
	const char *own = js_text(js_get(config, "comment"));

	if ((own == NULL || *own == 0) && js_len(history))
		copy_text(j, "Comment", js_at(history, js_len(history) - 1), "comment");
	else
		copy_text(j, "Comment", config, "comment");
}

/* Of the manifest as the store has it, whatever index it came by. */
static struct js *descriptor_of(const struct image *i)
{
	struct js *j = js_object();

	js_set_text(j, "mediaType", i->media_type);
	js_set_text(j, "digest", i->manifest);
	js_set_int(j, "size", (int64_t)i->manifest_size);
	return j;
}

struct js *inspect_image(const struct image *i, const struct image_list *all)
{
	struct js *j = js_object();
	const struct js *variant = js_get(i->config, "variant");
	const struct js *version = js_get(i->config, "os.version");

	js_set_text(j, "Id", i->id);
	add_names(j, i, all);
	js_set_text(j, "Parent", "");
	add_comment(j, i->config);
	copy_text(j, "Created", i->config, "created");
	copy_text(j, "DockerVersion", i->config, "docker_version");
	copy_text(j, "Author", i->config, "author");
	js_set(j, "Config", config_of(js_get(i->config, "config")));
	copy_text(j, "Architecture", i->config, "architecture");
	if (js_text(variant))
		js_set_text(j, "Variant", js_text(variant));
	copy_text(j, "Os", i->config, "os");
	if (js_text(version))
		js_set_text(j, "OsVersion", js_text(version));
	js_set_int(j, "Size", (int64_t)i->size);
	js_set_int(j, "VirtualSize", (int64_t)i->size);
	js_set(j, "GraphDriver", graph_of(i));
	js_set(j, "RootFS", rootfs_of(i->config));
	js_set(j, "Metadata", metadata_of(i, all));
	if (i->media_type)
		js_set(j, "Descriptor", descriptor_of(i));
	return j;
}
