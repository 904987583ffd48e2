/* fuzz_unpack.c: any bytes as a layer; nothing outside its folder may change. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/unpack.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small enough that a run takes little time. */
#define FUZZ_BYTES   (8u << 20)
#define FUZZ_ENTRIES 300
#define BLOCK	     512

static char place[64];
static int placefd = -1;

static void drop_place(void)
{
	dir_remove_all(AT_FDCWD, place, NULL);
}

/* A folder with a canary in it; layers go into folders beside that. */
static void make_place(void)
{
	static const char *const places[] = { "/dev/shm", "/tmp", "/var/tmp" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && placefd < 0; i++) {
		snprintf(place, sizeof(place), "%s/zl-fuzz.XXXXXX", places[i]);
		if (mkdtemp(place) == NULL)
			continue;
		if (setxattr(place, "user.test", "y", 1, 0) < 0)
			rmdir(place);
		else
			placefd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (placefd < 0)
		abort();
	atexit(drop_place);
	if (file_write_atomic(placefd, "canary", "alive", 5, 0644, false, NULL) < 0)
		abort();
}

static void check_place(void)
{
	own_dir DIR *d = fdopendir(openat(placefd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	own_str struct str s = STR_INIT;
	struct stat st;
	int n = 0;

	while (readdir(d))
		n++;
	if (n != 3 || file_read(placefd, "canary", 100, &s, NULL) < 0 ||
	    strcmp(s.s, "alive") != 0 || fstatat(placefd, "canary", &st, 0) < 0 ||
	    st.st_nlink != 1 || (st.st_mode & 07777) != 0644)
		abort();
}

/* Right checksums, where headers seem to be: else no change of one would get past them. */
static void mend_headers(uint8_t *p, size_t n)
{
	for (size_t at = 0; at + BLOCK <= n;) {
		uint8_t *h = p + at;
		uint64_t size = 0;
		unsigned sum = 0;

		for (int i = 124; i < 135 && h[i] >= '0' && h[i] < '8'; i++)
			size = size * 8 + (h[i] - '0');
		memset(h + 148, ' ', 8);
		for (int i = 0; i < BLOCK; i++)
			sum += h[i];
		for (int i = 6; i-- > 0; sum >>= 3)
			h[148 + i] = (uint8_t)('0' + (sum & 7));
		h[154] = 0;
		if (size > n)
			break;
		at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
	}
}

struct feed {
	const uint8_t *p;
	size_t n;
};

static ssize_t feed_read(void *arg, const void **buf, struct err *e)
{
	struct feed *f = arg;
	size_t n = f->n < 1000 ? f->n : 1000;

	(void)e;
	*buf = f->p;
	f->p += n;
	f->n -= n;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct unpack_limits limits = { .bytes = FUZZ_BYTES, .entries = FUZZ_ENTRIES };
	own_free uint8_t *copy = malloc(size + 1);
	struct feed f = { copy, size };
	struct unpack_result res;
	struct err err = ERR_INIT;
	int fd;

	if (placefd < 0)
		make_place();
	if (size)
		memcpy(copy, data, size);
	/* An odd length is taken as it is, packed ones for instance. */
	if (size % 2 == 0)
		mend_headers(copy, size);
	if (mkdirat(placefd, "layer", 0700) < 0)
		abort();
	fd = openat(placefd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (unpack_layer(fd, feed_read, &f, &limits, &res, &err) < 0 && err.msg[0] == 0)
		abort();
	close(fd);
	if (dir_remove_all(placefd, "layer", NULL) < 0)
		abort();
	check_place();
	return 0;
}
