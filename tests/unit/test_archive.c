/* test_archive.c: images out of archives of every kind, good and bad. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/archive.h"
#include "oci/manifest.h"
#include "oci/store.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "tests/unit/tarball.h"

static char *top;
static struct store *st;
static struct err err;
static struct strv loaded;

static int no_containers(void *arg, struct strv *refs, struct err *e)
{
	(void)arg;
	(void)refs;
	(void)e;
	return 0;
}

static void open_store(const char *name)
{
	own_free char *root = xasprintf("%s/%s", top, name);

	if (st)
		store_close(st);
	st = store_open(root, &err);
	assert_non_null(st);
	store_set_refs(st, no_containers, NULL);
}

static int set_up(void **state)
{
	(void)state;
	err = (struct err)ERR_INIT;
	top = scratch_dir();
	if (top == NULL)
		return -1;
	open_store("root");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	store_close(steal_ptr(&st));
	strv_free(&loaded);
	assert_int_equal(dir_remove_all(AT_FDCWD, top, NULL), 0);
	free(top);
	return 0;
}

static int count(const char *dir)
{
	own_free char *path = xasprintf("%s/root/%s", top, dir);
	own_dir DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void said(const char *word)
{
	if (strstr(err.msg, word) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", err.msg, word);
}

/* ---- feeding ---- */

struct memory {
	const char *p;
	size_t n;
};

static ssize_t read_memory(void *arg, const void **buf, struct err *e)
{
	struct memory *m = arg;
	size_t n = m->n < 5000 ? m->n : 5000;

	(void)e;
	*buf = m->p;
	m->p += n;
	m->n -= n;
	return (ssize_t)n;
}

static int load_for(const struct str *t, const char *platform)
{
	struct memory m = { t->s, t->len };

	strv_free(&loaded);
	return archive_load(st, read_memory, &m, platform, &loaded, &err);
}

static void load_good(const struct str *t)
{
	if (load_for(t, NULL) != 0)
		fail_msg("%s", err.msg);
}

/* It must be refused, and nothing of it be visible. */
static void load_bad(struct str *t, int code, const char *word)
{
	own_store_images struct store_images l = { 0 };

	tar_end(t);
	assert_int_equal(load_for(t, NULL), -code);
	said(word);
	assert_int_equal(store_images_read(st, &l, &err), 0);
	assert_int_equal(l.n, 0);
	assert_int_equal(loaded.n, 0);
	assert_int_equal(count("layers"), 0);
	assert_int_equal(count("blobs/sha256"), 0);
	str_free(t);
}

/* ---- making ---- */

/* A text and what refers to it. */
struct part {
	struct str text;
	struct digest d;
	char hex[DIGEST_HEX_LEN + 1];
};

static void part_done(struct part *p)
{
	digest_of(p->text.s, p->text.len, &p->d);
	digest_hex(p->hex, &p->d);
}

/* An image of two layers. */
struct sample {
	struct part layer[2], config, manifest;
	struct part gz[2]; /* the layers, packed */
};

static void sample_make(struct sample *s, const char *arch)
{
	*s = (struct sample){ 0 };
	tar_dir(&s->layer[0].text, "etc", 0755);
	tar_file(&s->layer[0].text, "etc/os", 0644, arch);
	tar_end(&s->layer[0].text);
	tar_file(&s->layer[1].text, "etc/.wh.old", 0644, "");
	tar_file(&s->layer[1].text, "more", 0644, "12345");
	tar_end(&s->layer[1].text);
	for (int i = 0; i < 2; i++) {
		part_done(&s->layer[i]);
		pack('g', s->layer[i].text.s, s->layer[i].text.len, &s->gz[i].text);
		part_done(&s->gz[i]);
	}
	str_addf(&s->config.text,
		 "{\"architecture\":\"%s\",\"os\":\"linux\",\"created\":\"2024-01-02T03:04:05Z\","
		 "\"config\":{\"Cmd\":[\"sh\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":["
		 "\"sha256:%s\",\"sha256:%s\"]}}",
		 arch, s->layer[0].hex, s->layer[1].hex);
	part_done(&s->config);
	str_addf(&s->manifest.text,
		 "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST
		 "\",\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG
		 "\",\"digest\":\"sha256:%s\",\"size\":%zu},\"layers\":[",
		 s->config.hex, s->config.text.len);
	for (int i = 0; i < 2; i++)
		str_addf(&s->manifest.text,
			 "%s{\"mediaType\":\"" MEDIA_OCI_LAYER
			 "+gzip\",\"digest\":\"sha256:%s\",\"size\":%zu}",
			 i ? "," : "", s->gz[i].hex, s->gz[i].text.len);
	/* something that a manifest made by us would not have */
	str_add(&s->manifest.text, "],\"annotations\":{\"made\":\"elsewhere\"}}");
	part_done(&s->manifest);
}

static void sample_free(struct sample *s)
{
	for (int i = 0; i < 2; i++) {
		str_free(&s->layer[i].text);
		str_free(&s->gz[i].text);
	}
	str_free(&s->config.text);
	str_free(&s->manifest.text);
}

static void add_mem(struct str *t, const char *name, const struct str *content)
{
	tar_add(t, '0', name, &(struct tar_head){ .mode = 0644 }, content->s, content->len);
}

static void add_blob(struct str *t, const struct part *p)
{
	own_free char *name = xasprintf("blobs/sha256/%s", p->hex);

	add_mem(t, name, &p->text);
}

/* docker save before version 25: a folder for each layer, manifest.json at the end. */
static void docker_archive(struct str *t, const struct sample *s, const char *tags)
{
	own_free char *config = xasprintf("%s.json", s->config.hex);
	own_str struct str m = STR_INIT;

	tar_dir(t, "1111/", 0755);
	tar_file(t, "1111/VERSION", 0644, "1.0");
	tar_file(t, "1111/json", 0644, "{}");
	add_mem(t, "1111/layer.tar", &s->layer[0].text);
	tar_dir(t, "2222/", 0755);
	add_mem(t, "2222/layer.tar", &s->layer[1].text);
	add_mem(t, config, &s->config.text);
	str_addf(&m,
		 "[{\"Config\":\"%s\",\"RepoTags\":%s,\"Layers\":[\"1111/layer.tar\","
		 "\"2222/layer.tar\"]}]",
		 config, tags);
	add_mem(t, "manifest.json", &m);
	tar_file(t, "repositories", 0644, "{}");
}

/* ---- looking ---- */

static struct store_image one_image(const char *name, const struct sample *s)
{
	own_store_images struct store_images l = { 0 };
	struct store_image *i, copy;

	assert_int_equal(store_images_read(st, &l, &err), 0);
	i = name ? store_images_find(&l, name) : &l.v[0];
	assert_non_null(i);
	assert_true(i->known);
	assert_true(digest_equal(&i->id, &s->config.d)); /* docker's image id */
	assert_int_equal(i->created, 1704164645);
	store_image_copy(&copy, i);
	return copy;
}

/* The image is whole: blobs, layers with their files. Returns its manifest. */
static struct digest image_is(const char *name, const struct sample *s)
{
	struct store_image i = one_image(name, s);
	own_manifest struct manifest m = { 0 };
	own_str struct str text = STR_INIT, file = STR_INIT;
	own_free char *path = NULL, *layer = store_layer_path(st, &s->layer[1].d);
	struct digest manifest = i.manifest;

	assert_int_equal(i.size, strlen("amd64") + 5);
	store_image_free(&i);
	assert_int_equal(store_blob_read(st, &manifest, 100000, &text, &err), 0);
	assert_int_equal(manifest_parse(text.s, text.len, NULL, &m, &err), 0);
	assert_int_equal(m.nlayers, 2);
	assert_true(digest_equal(&m.config.digest, &s->config.d));
	for (int k = 0; k < 2; k++) {
		assert_true(store_blob_has(st, &m.layers[k].digest, m.layers[k].size));
		assert_true(store_layer_has(st, &s->layer[k].d, NULL));
	}
	path = xasprintf("%s/more", layer);
	assert_int_equal(file_read(AT_FDCWD, path, 100, &file, &err), 0);
	assert_string_equal(file.s, "12345");
	return manifest;
}

/* ---- good ones ---- */

static void test_docker_archive(void **state)
{
	struct str t = STR_INIT, packed = STR_INIT;
	struct digest first, again;
	struct sample s;

	(void)state;
	sample_make(&s, "amd64");
	docker_archive(&t, &s, "[\"busybox:1\",\"127.0.0.1:5000/x/y:2\"]");
	tar_end(&t);
	load_good(&t);
	assert_int_equal(loaded.n, 2);
	assert_string_equal(loaded.v[0], "docker.io/library/busybox:1");
	assert_string_equal(loaded.v[1], "127.0.0.1:5000/x/y:2");
	first = image_is("docker.io/library/busybox:1", &s);
	image_is("127.0.0.1:5000/x/y:2", &s);
	/* the same again, and packed, elsewhere: the same manifest */
	load_good(&t);
	assert_int_equal(count("layers"), 2);
	for (const char *how = "gzxb"; *how; how++) {
		char name[2] = { *how, 0 };

		open_store(name);
		packed.len = 0;
		pack(*how, t.s, t.len, &packed);
		load_good(&packed);
		again = image_is("docker.io/library/busybox:1", &s);
		assert_true(digest_equal(&first, &again));
	}
	str_free(&packed);
	str_free(&t);
	sample_free(&s);
}

static void test_without_name(void **state)
{
	struct str t = STR_INIT;
	char id[DIGEST_TEXT_MAX];
	struct sample s;

	(void)state;
	sample_make(&s, "amd64");
	docker_archive(&t, &s, "null");
	tar_end(&t);
	load_good(&t);
	assert_int_equal(loaded.n, 1);
	assert_string_equal(loaded.v[0], digest_format(id, &s.config.d));
	image_is(NULL, &s);
	str_free(&t);
	sample_free(&s);
}

/* manifest.json first, layers that are links to others, packed layers, "./" in front. */
static void test_links(void **state)
{
	struct str t = STR_INIT;
	struct sample s;

	(void)state;
	sample_make(&s, "amd64");
	tar_file(&t, "./manifest.json", 0644,
		 "[{\"Config\":\"config\",\"RepoTags\":[\"a:1\"],\"Layers\":[\"b/layer.tar\","
		 "\"2/layer.tar\"]}]");
	tar_symlink(&t, "./b/layer.tar", "../1/./layer.tar");
	tar_symlink(&t, "./1/layer.tar", "../real");
	add_mem(&t, "real", &s.gz[0].text);
	add_mem(&t, "second", &s.layer[1].text);
	tar_hardlink(&t, "2/layer.tar", "./second");
	add_mem(&t, "./config", &s.config.text);
	tar_end(&t);
	load_good(&t);
	image_is("docker.io/library/a:1", &s);
	str_free(&t);
	sample_free(&s);
}

static void add_oci(struct str *t, const struct sample *s, const struct str *index)
{
	add_blob(t, &s->gz[0]);
	add_blob(t, &s->gz[1]);
	add_blob(t, &s->config);
	add_blob(t, &s->manifest);
	if (index)
		add_mem(t, "index.json", index);
	tar_file(t, "oci-layout", 0644, "{\"imageLayoutVersion\":\"1.0.0\"}");
}

static void add_entry(struct str *index, const struct part *manifest, const char *type,
		      const char *annotations)
{
	str_add(index, index->len ? "," : "{\"schemaVersion\":2,\"manifests\":[");
	str_addf(index,
		 "{\"mediaType\":\"%s\",\"digest\":\"sha256:%s\",\"size\":%zu,"
		 "\"annotations\":{%s}}",
		 type, manifest->hex, manifest->text.len, annotations);
}

static void test_oci_layout(void **state)
{
	static const struct {
		const char *annotations, *name;
	} rows[] = {
		{ "\"io.containerd.image.name\":\"docker.io/library/x:1\",\"org.opencontainers."
		  "image.ref.name\":\"1\"",
		  "docker.io/library/x:1" },
		{ "\"org.opencontainers.image.ref.name\":\"x:2\"", "docker.io/library/x:2" },
		{ "\"org.opencontainers.image.ref.name\":\"latest\"", NULL },
		{ "", NULL },
	};
	char id[DIGEST_TEXT_MAX];
	struct sample s;

	(void)state;
	sample_make(&s, "amd64");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str t = STR_INIT, index = STR_INIT;
		char root[2] = { (char)('a' + i), 0 };
		struct digest m;

		add_entry(&index, &s.manifest, MEDIA_OCI_MANIFEST, rows[i].annotations);
		str_add(&index, "]}");
		add_oci(&t, &s, &index);
		tar_end(&t);
		open_store(root);
		load_good(&t);
		assert_string_equal(loaded.v[0],
				    rows[i].name ? rows[i].name : digest_format(id, &s.config.d));
		m = image_is(rows[i].name, &s);
		assert_true(digest_equal(&m, &s.manifest.d));
		str_free(&index);
		str_free(&t);
	}
	sample_free(&s);
}

/* An index in the index: the platform that is wanted; the other one's blobs need not be there. */
static void test_platforms(void **state)
{
	struct str t = STR_INIT, index = STR_INIT;
	struct sample s, other;
	struct part list = { 0 };

	(void)state;
	sample_make(&s, "amd64");
	sample_make(&other, "s390x");
	str_addf(&list.text,
		 "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":["
		 "{\"mediaType\":\"" MEDIA_OCI_MANIFEST
		 "\",\"digest\":\"sha256:%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\","
		 "\"architecture\":\"s390x\"}},"
		 "{\"mediaType\":\"" MEDIA_OCI_MANIFEST
		 "\",\"digest\":\"sha256:%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\","
		 "\"architecture\":\"amd64\"}}]}",
		 other.manifest.hex, other.manifest.text.len, s.manifest.hex, s.manifest.text.len);
	part_done(&list);
	add_entry(&index, &list, MEDIA_OCI_INDEX,
		  "\"io.containerd.image.name\":\"docker.io/library/x:1\"");
	str_add(&index, "]}");
	add_oci(&t, &s, &index);
	add_blob(&t, &list);
	tar_end(&t);
	assert_int_equal(load_for(&t, "linux/s390x"), -ENOENT);
	assert_int_equal(load_for(&t, "linux/riscv64"), -ENOENT);
	said("riscv64");
	assert_int_equal(load_for(&t, "linux/amd64"), 0);
	image_is("docker.io/library/x:1", &s);
	{
		struct store_image i = one_image("docker.io/library/x:1", &s);

		assert_true(digest_equal(&i.source, &list.d));
		assert_string_equal(i.platform, "linux/amd64");
		store_image_free(&i);
	}
	str_free(&t);
	/* docker's archive knows no platforms but the config's */
	docker_archive(&t, &s, "[\"y:1\"]");
	tar_end(&t);
	assert_int_equal(load_for(&t, "linux/arm64"), -ENOENT);
	said("no image for linux/arm64");
	assert_int_equal(load_for(&t, "linux/amd64"), 0);
	str_free(&t);
	str_free(&index);
	str_free(&list.text);
	sample_free(&s);
	sample_free(&other);
}

/* docker save since version 25: both in one; its own manifest is the one that is kept. */
static void test_both(void **state)
{
	struct str t = STR_INIT, index = STR_INIT, m = STR_INIT;
	struct digest d;
	struct sample s;

	(void)state;
	sample_make(&s, "amd64");
	add_entry(&index, &s.manifest, MEDIA_OCI_MANIFEST, "");
	str_add(&index, "]}");
	add_oci(&t, &s, &index);
	str_addf(&m,
		 "[{\"Config\":\"blobs/sha256/%s\",\"RepoTags\":[\"x:1\"],\"Layers\":["
		 "\"blobs/sha256/%s\",\"blobs/sha256/%s\"]}]",
		 s.config.hex, s.gz[0].hex, s.gz[1].hex);
	add_mem(&t, "manifest.json", &m);
	tar_end(&t);
	load_good(&t);
	d = image_is("docker.io/library/x:1", &s);
	assert_true(digest_equal(&d, &s.manifest.d));
	/* an index.json that is no use does no harm */
	str_free(&t);
	open_store("other");
	add_oci(&t, &s, &m);
	add_mem(&t, "manifest.json", &m);
	tar_end(&t);
	load_good(&t);
	d = image_is("docker.io/library/x:1", &s);
	assert_false(digest_equal(&d, &s.manifest.d));
	str_free(&t);
	str_free(&index);
	str_free(&m);
	sample_free(&s);
}

static void test_several_images(void **state)
{
	struct str t = STR_INIT;
	own_str struct str m = STR_INIT;
	struct sample a, b;

	(void)state;
	sample_make(&a, "amd64");
	sample_make(&b, "arm64");
	add_mem(&t, "a", &a.config.text);
	add_mem(&t, "b", &b.config.text);
	add_mem(&t, "a0", &a.layer[0].text);
	add_mem(&t, "b0", &b.layer[0].text);
	add_mem(&t, "both1", &a.layer[1].text);
	str_add(&m, "[{\"Config\":\"a\",\"RepoTags\":[\"a:1\"],\"Layers\":[\"a0\",\"both1\"]},"
		    "{\"Config\":\"b\",\"RepoTags\":[\"b:1\",\"b:2\"],\"Layers\":[\"b0\",\"both1\"]"
		    "}]");
	add_mem(&t, "manifest.json", &m);
	tar_end(&t);
	load_good(&t);
	assert_int_equal(loaded.n, 3);
	image_is("docker.io/library/a:1", &a);
	image_is("docker.io/library/b:2", &b);
	assert_int_equal(count("layers"), 3);
	str_free(&t);
	sample_free(&a);
	sample_free(&b);
}

/* Through a pipe, which cannot seek. */
struct writer {
	int fd;
	const struct str *t;
};

static void *write_pipe(void *arg)
{
	struct writer *w = arg;

	fd_write_full(w->fd, w->t->s, w->t->len);
	close(w->fd);
	return NULL;
}

static void test_pipe(void **state)
{
	struct str t = STR_INIT;
	struct sample s;
	struct writer w;
	pthread_t thread;
	int fds[2];

	(void)state;
	sample_make(&s, "amd64");
	docker_archive(&t, &s, "[\"p:1\"]");
	tar_end(&t);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	w = (struct writer){ fds[1], &t };
	pthread_create(&thread, NULL, write_pipe, &w);
	assert_int_equal(image_load(st, fds[0], NULL, &loaded, &err), 0);
	pthread_join(thread, NULL);
	close(fds[0]);
	image_is("docker.io/library/p:1", &s);
	str_free(&t);
	sample_free(&s);
}

/* ---- bad ones ---- */

static void test_not_an_archive(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	load_bad(&t, EBADMSG, "no image archive: it has neither manifest.json nor index.json");
	tar_file(&t, "hello", 0644, "x");
	load_bad(&t, EBADMSG, "neither manifest.json nor index.json");
	str_add(&t, "<html>this is no tar archive at all, but it is long enough to look at</html>");
	for (int i = 0; i < 20; i++)
		str_add(&t, "0123456789012345678901234567890123456789");
	assert_int_equal(load_for(&t, NULL), -EBADMSG);
	said("tar archive is damaged");
	str_free(&t);
	tar_file(&t, "manifest.json", 0644, "{\"Config\"");
	load_bad(&t, EBADMSG, "manifest.json: ");
	tar_file(&t, "manifest.json", 0644, "{}");
	load_bad(&t, EBADMSG, "manifest.json: it is no list of images");
	tar_file(&t, "manifest.json", 0644, "[]");
	load_bad(&t, ENOENT, "it holds no image");
	tar_file(&t, "manifest.json", 0644, "[7]");
	load_bad(&t, EBADMSG, "speaks of nothing");
	tar_file(&t, "index.json", 0644, "[]");
	load_bad(&t, EPROTO, "index.json: ");
}

static void test_wrong_content(void **state)
{
	struct str t = STR_INIT, index = STR_INIT;
	struct sample s, other;

	(void)state;
	sample_make(&s, "amd64");
	sample_make(&other, "arm64");
	/* another layer than the config's diff id says */
	s.layer[0].text.s[1024] ^= 1; /* in a file's content */
	docker_archive(&t, &s, "[\"x:1\"]");
	load_bad(&t, EBADMSG, "diff id is sha256:");
	s.layer[0].text.s[1024] ^= 1;
	/* a blob that is not what its name says */
	s.gz[1].text.s[s.gz[1].text.len - 1] ^= 1;
	add_entry(&index, &s.manifest, MEDIA_OCI_MANIFEST, "");
	str_add(&index, "]}");
	add_oci(&t, &s, &index);
	load_bad(&t, EBADMSG, "its content is sha256:");
	s.gz[1].text.s[s.gz[1].text.len - 1] ^= 1;
	/* a blob that is not there */
	add_blob(&t, &s.gz[0]);
	add_blob(&t, &s.config);
	add_blob(&t, &s.manifest);
	add_mem(&t, "index.json", &index);
	load_bad(&t, ENOENT, "not in the store");
	/* fewer layers than diff ids */
	add_mem(&t, "config", &s.config.text);
	add_mem(&t, "0", &s.layer[0].text);
	tar_file(&t, "manifest.json", 0644, "[{\"Config\":\"config\",\"Layers\":[\"0\"]}]");
	load_bad(&t, EBADMSG, "1 layers and the image config 2 diff ids");
	/* a config that is none */
	tar_file(&t, "config", 0644, "[]");
	tar_file(&t, "manifest.json", 0644, "[{\"Config\":\"config\",\"Layers\":[]}]");
	load_bad(&t, EPROTO, "config");
	/* a file that is not there, or in an endless circle */
	tar_file(&t, "manifest.json", 0644, "[{\"Config\":\"config\",\"Layers\":[]}]");
	load_bad(&t, EBADMSG, "speaks of config, which the archive does not have");
	tar_symlink(&t, "config", "a");
	tar_symlink(&t, "a", "config");
	tar_file(&t, "manifest.json", 0644, "[{\"Config\":\"config\",\"Layers\":[]}]");
	load_bad(&t, EBADMSG, "speaks of config");
	/* a layer that leaves its folder */
	s.layer[0].text.len = 0;
	tar_file(&s.layer[0].text, "../../../canary", 0644, "x");
	tar_end(&s.layer[0].text);
	docker_archive(&t, &s, "[\"x:1\"]");
	load_bad(&t, EBADMSG, "\"..\"");
	sample_free(&s);
	sample_free(&other);
	str_free(&index);
}

static void test_bad_names(void **state)
{
	struct str t = STR_INIT;
	char longest[600];
	struct sample s;

	(void)state;
	sample_make(&s, "amd64");
	docker_archive(&t, &s, "[\"UPPER/../case\"]");
	load_bad(&t, EINVAL, "the name \"UPPER/../case\" in it: ");
	docker_archive(&t, &s, "[7]");
	load_bad(&t, EINVAL, "the name \"\" in it: ");
	tar_file(&t, "../../etc/cron.d/x", 0644, "x");
	load_bad(&t, EBADMSG, "its name is no file's in an image archive");
	tar_file(&t, "./.", 0644, "x");
	load_bad(&t, EBADMSG, "its name is no file's");
	tar_symlink(&t, "a/layer.tar", "../../x");
	load_bad(&t, EBADMSG, "a link out of the archive");
	tar_hardlink(&t, "layer.tar", "../x");
	load_bad(&t, EBADMSG, "a link out of the archive");
	memset(longest, 'n', 599);
	longest[599] = 0;
	tar_pax(&t, "path", longest, 599);
	tar_file(&t, "x", 0644, "x");
	load_bad(&t, EBADMSG, "its name is no file's");
	/* docker's archive takes no notice of what is neither file nor link */
	tar_add(&t, '3', "null", &(struct tar_head){ .major = 1, .minor = 3 }, NULL, 0);
	docker_archive(&t, &s, "[\"x:1\"]");
	tar_end(&t);
	load_good(&t);
	str_free(&t);
	sample_free(&s);
}

static void test_holes(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	tar_pax(&t, "GNU.sparse.size", "1099511627776", 13);
	tar_pax(&t, "GNU.sparse.map", "0,1", 3);
	tar_file(&t, "layer.tar", 0644, "x");
	tar_end(&t);
	assert_int_not_equal(load_for(&t, NULL), 0);
	assert_int_equal(count("blobs/sha256"), 0);
	str_free(&t);
	/* an endless manifest.json */
	for (int i = 0; i < 17 << 10; i++)
		str_add(&t, "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                "
			    "                                                                ");
	{
		struct str big = STR_INIT;

		add_mem(&big, "manifest.json", &t);
		load_bad(&big, EFBIG, "larger than 16777216 bytes");
	}
	str_free(&t);
}

/* Every byte of an archive that is cut short somewhere, or damaged. */
static void test_damaged(void **state)
{
	struct str t = STR_INIT, p = STR_INIT;
	struct sample s;
	size_t whole;

	(void)state;
	sample_make(&s, "amd64");
	docker_archive(&t, &s, "[\"x:1\"]");
	whole = t.len;
	tar_end(&t);
	pack('g', t.s, t.len, &p);
	for (size_t n = 100; n < p.len; n += 97) {
		struct str part = { p.s, n, 0 };

		assert_int_equal(load_for(&part, NULL), -EBADMSG);
	}
	for (size_t n = 512; n + 2048 < whole; n += 1700) {
		struct str part = { t.s, n, 0 };

		assert_int_not_equal(load_for(&part, NULL), 0);
	}
	assert_int_equal(count("layers"), 0);
	assert_int_equal(count("blobs/sha256"), 0);
	str_free(&t);
	str_free(&p);
	sample_free(&s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_docker_archive), T(test_without_name), T(test_links),
		T(test_oci_layout),	T(test_platforms),    T(test_both),
		T(test_several_images), T(test_pipe),	      T(test_not_an_archive),
		T(test_wrong_content),	T(test_bad_names),    T(test_holes),
		T(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
