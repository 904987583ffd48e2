/* pull.c: layers in one pass: fetched, hashed, kept, decompressed, hashed again, unpacked. */
#include "oci/pull.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "oci/config.h"
#include "oci/ranges.h"
#include "oci/unpack.h"
#include "oci/workers.h"
#include "runtime/base/own.h"

/*
 * Theory of operation
 *
 * Each worker takes a layer, the lowest first, and fetches its blob into a
 * file of the store (blob_writer hashes on the way), while a second thread
 * unpacks the same file as it grows (struct follow): it reads what the worker
 * has written, from the page cache, and waits at the end of it. So the network
 * never waits for the disk's inodes, a part left by an interrupted pull is
 * unpacked like bytes that just came, and memory is bounded by a buffer for
 * each layer, whatever the layer's size.
 *
 * Unverified bytes are unpacked, but nothing comes of them: the worker lets the
 * layer become visible only after blob and diff id both came out right.
 *
 * When the archive turns out to be damaged, the blob is fetched to its end all the
 * same: its digest tells whether the registry sent what it should have.
 */

/* Bytes read at once for the unpacker. */
#define FOLLOW_BYTES (128u << 10)
/* Progress is told after that many bytes. */
#define TELL_BYTES (64u << 10)

/* A file that is read while it grows. */
struct follow {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct blob_writer *w; /* the file, until it is committed */
	int fd;		       /* and afterwards */
	uint64_t avail;	       /* bytes that can be read */
	bool whole;	       /* no more will come */
	struct err failed;     /* the worker gave up; code 0: it did not */
};

struct crew;

/* One layer. */
struct job {
	struct crew *crew;
	const struct descriptor *d;
	const struct digest *diff_id;
	size_t row;
	struct follow f;
	uint64_t fetched, told;
	struct layer_writer *lw;
	struct unpack_result res;
	struct err unpack_err;
	uint64_t offset; /* the unpacker's, in the blob */
	uint64_t size;	 /* of its files, when done */
	bool here;	 /* already in the store */
	_Atomic int unpack_rc;
	char *buf;
};

struct crew {
	const struct pull *pull;
	struct job *jobs;
	size_t n;
};

/* ---- reading behind the writer ---- */

/* Unpacker's read; on its own thread. */
static ssize_t follow_read(void *arg, const void **buf, struct err *e)
{
	struct job *j = arg;
	struct follow *f = &j->f;
	uint64_t left;
	ssize_t n;
	bool whole;

	if (atomic_load(j->crew->pull->cancel))
		return err_set(e, ECANCELED, "interrupted");
	pthread_mutex_lock(&f->lock);
	while (f->failed.code == 0 && j->offset == f->avail && !f->whole)
		pthread_cond_wait(&f->more, &f->lock);
	if (f->failed.code) {
		if (e)
			*e = f->failed;
		pthread_mutex_unlock(&f->lock);
		return -f->failed.code;
	}
	left = f->avail - j->offset;
	n = left < FOLLOW_BYTES ? (ssize_t)left : FOLLOW_BYTES;
	if (n > 0 && f->w)
		n = blob_writer_pread(f->w, j->buf, (size_t)n, j->offset);
	else if (n > 0 && (n = pread(f->fd, j->buf, (size_t)n, (off_t)j->offset)) < 0)
		n = -errno;
	whole = f->whole;
	pthread_mutex_unlock(&f->lock);
	if (n < 0)
		return err_set(e, (int)-n, "read a blob of the store: %s", strerror((int)-n));
	/* A blob that became shorter under our hands. */
	if (n == 0 && left)
		return err_set(e, EIO, "a blob of the store is truncated");
	j->offset += (uint64_t)n;
	if (whole)
		progress_set(j->crew->pull->p, j->row, "Extracting", j->offset, j->d->size);
	*buf = j->buf;
	return n;
}

static void follow_avail(struct follow *f, uint64_t avail)
{
	pthread_mutex_lock(&f->lock);
	f->avail = avail;
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
}

static void follow_fail(struct follow *f, const struct err *why)
{
	pthread_mutex_lock(&f->lock);
	f->failed = *why;
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
}

/* Verifies and commits the blob; the reader changes over to it. */
static int follow_commit(struct job *j, struct err *e)
{
	struct follow *f = &j->f;
	int r;

	pthread_mutex_lock(&f->lock);
	r = blob_writer_commit(f->w, NULL, e);
	f->w = NULL;
	if (r == 0)
		r = store_blob_open(j->crew->pull->s, &j->d->digest, &f->fd, NULL, e);
	if (r == 0)
		f->whole = true;
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
	return r;
}

static void follow_init(struct follow *f)
{
	*f = (struct follow){ .fd = -1 };
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->more, NULL);
}

static void follow_close(struct follow *f)
{
	if (f->fd >= 0)
		close(f->fd);
	pthread_cond_destroy(&f->more);
	pthread_mutex_destroy(&f->lock);
}

/* ---- one layer ---- */

int pull_pause(const atomic_bool *cancel, struct err *e)
{
	struct timespec t = { 0, PULL_WAIT_MS * 1000000L };

	nanosleep(&t, NULL);
	return atomic_load(cancel) ? err_set(e, ECANCELED, "interrupted") : 0;
}

static int wait_turn(struct job *j, struct err *e)
{
	progress_set(j->crew->pull->p, j->row, "Waiting for another zl that pulls it", 0, 0);
	return pull_pause(j->crew->pull->cancel, e);
}

static int begin_blob(struct job *j, struct err *e)
{
	const struct pull *pull = j->crew->pull;
	int r;

	if (pull->g == NULL && store_blob_has(pull->s, &j->d->digest, j->d->size))
		return 1;
	if (pull->g == NULL)
		return err_set(e, ENOENT, "its blob is not in the store");
	do {
		r = store_blob_begin(pull->s, &j->d->digest, j->d->size, STORE_NOWAIT, NULL,
				     &j->f.w, e);
	} while (r == -EAGAIN && (r = wait_turn(j, e)) == 0);
	return r;
}

static int begin_layer(struct job *j, struct err *e)
{
	int r;

	do {
		r = store_layer_begin(j->crew->pull->s, j->diff_id, STORE_NOWAIT, NULL, &j->lw, e);
	} while (r == -EAGAIN && (r = wait_turn(j, e)) == 0);
	return r;
}

static void on_retry(void *arg, unsigned seconds, const struct err *why)
{
	struct job *j = arg;
	own_free char *state = xasprintf("Retrying in %u second%s (%s)", seconds,
					 seconds == 1 ? "" : "s", why->msg);

	progress_set(j->crew->pull->p, j->row, state, 0, 0);
}

/* Bytes from the network. */
static int on_bytes(void *arg, const void *p, size_t n, struct err *e)
{
	struct job *j = arg;
	int rc = atomic_load(&j->unpack_rc);
	int r;

	/* For a damaged archive see the theory of operation. */
	if (rc < 0 && rc != -EBADMSG)
		return err_set(e, ECANCELED, "given up");
	r = blob_writer_add(j->f.w, p, n, e);
	if (r < 0)
		return r;
	j->fetched += n;
	follow_avail(&j->f, j->fetched);
	if (j->fetched - j->told >= TELL_BYTES || j->fetched == j->d->size) {
		j->told = j->fetched;
		progress_set(j->crew->pull->p, j->row, "Downloading", j->fetched, j->d->size);
	}
	return 0;
}

static void *unpack_thread(void *arg)
{
	struct job *j = arg;

	atomic_store(&j->unpack_rc, unpack_layer(layer_writer_dir(j->lw), follow_read, j, NULL,
						 &j->res, &j->unpack_err));
	return NULL;
}

/* Whether the part that came should be continued another time. */
static bool worth_keeping(const struct blob_writer *w, int why)
{
	return blob_writer_have(w) >= PULL_PART_MIN && http_unreachable(why);
}

/* The blob from the registry into j->f, to its end. */
static int fetch(struct job *j, struct err *e)
{
	const struct pull *pull = j->crew->pull;
	int r = 0;

	j->fetched = j->told = blob_writer_have(j->f.w);
	follow_avail(&j->f, j->fetched);
	progress_set(pull->p, j->row, "Downloading", j->fetched, j->d->size);
	if (j->fetched < j->d->size)
		r = ranges_fetch(pull->g, &j->d->digest, j->fetched, j->d->size, on_bytes, on_retry,
				 j, e);
	if (r < 0) {
		struct blob_writer *w;

		pthread_mutex_lock(&j->f.lock);
		w = steal_ptr(&j->f.w);
		j->f.failed = (struct err){ ECANCELED, "given up" };
		pthread_cond_signal(&j->f.more);
		pthread_mutex_unlock(&j->f.lock);
		blob_writer_abort(w, worth_keeping(w, r));
		return r;
	}
	progress_set(pull->p, j->row, "Verifying Checksum", 0, 0);
	r = follow_commit(j, e);
	if (r < 0) {
		struct err why = { ECANCELED, "given up" };

		follow_fail(&j->f, &why);
		return err_wrap(e, "%s sent a wrong blob", registry_host(pull->g));
	}
	progress_set(pull->p, j->row, "Download complete", 0, 0);
	return 0;
}

/* Which of the two errors is the cause. */
static int blame(struct job *j, int fetched, struct err *e)
{
	int unpacked = atomic_load(&j->unpack_rc);

	if (unpacked == 0)
		return fetched;
	/* The one that gave up for the other's sake has nothing to say. */
	if (fetched == 0 || (fetched == -ECANCELED && unpacked != -ECANCELED)) {
		if (e)
			*e = j->unpack_err;
		return err_wrap(e, "unpack");
	}
	return fetched;
}

/* Fetches (unless the blob is here: j->f.fd) and unpacks into j->lw, which it uses up. */
static int fetch_and_unpack(struct job *j, struct err *e)
{
	pthread_t unpacker;
	int r = pthread_create(&unpacker, NULL, unpack_thread, j);

	if (r) {
		blob_writer_abort(j->f.w, false);
		layer_writer_abort(j->lw);
		return err_set(e, r, "cannot start a thread: %s", strerror(r));
	}
	r = fetch(j, e);
	pthread_join(unpacker, NULL);
	r = blame(j, r, e);
	if (r < 0) {
		layer_writer_abort(j->lw);
		return r;
	}
	j->size = j->res.size;
	return layer_writer_commit(j->lw, &j->res.diff_id, j->res.size, e);
}

static int unpack_here(struct job *j, struct err *e)
{
	uint64_t size;
	int r = store_blob_open(j->crew->pull->s, &j->d->digest, &j->f.fd, &size, e);

	if (r == 0) {
		j->f.avail = size;
		j->f.whole = true;
		unpack_thread(j);
		r = blame(j, 0, e);
	}
	if (r < 0) {
		layer_writer_abort(j->lw);
		return r;
	}
	j->size = j->res.size;
	return layer_writer_commit(j->lw, &j->res.diff_id, j->res.size, e);
}

/* Positive: the blob was a part of an earlier pull's and came out wrong: once more. */
static int layer_try(struct job *j, struct err *e)
{
	const struct pull *pull = j->crew->pull;
	int here = begin_blob(j, e), r;
	uint64_t part;

	if (here < 0)
		return here;
	r = begin_layer(j, e);
	if (r < 0 && j->f.w)
		blob_writer_abort(j->f.w, false);
	if (r < 0)
		return r;
	if (r > 0) {
		part = here ? 0 : blob_writer_have(j->f.w);
		r = here ? 0 : fetch(j, e);
		if (r == 0 && !store_layer_has(pull->s, j->diff_id, &j->size))
			return err_set(e, EIO, "it disappeared from the store");
		return r == -EBADMSG && part ? 1 : r;
	}
	if (here)
		return unpack_here(j, e);
	part = blob_writer_have(j->f.w);
	r = fetch_and_unpack(j, e);
	return r == -EBADMSG && part ? 1 : r;
}

static int layer_run(struct job *j, struct err *e)
{
	char text[DIGEST_TEXT_MAX];
	int r = 0;

	j->buf = xmalloc(FOLLOW_BYTES);
	for (int i = 0; i < 2; i++) {
		follow_init(&j->f);
		j->offset = 0;
		atomic_store(&j->unpack_rc, 0);
		j->unpack_err = (struct err)ERR_INIT;
		r = layer_try(j, e);
		follow_close(&j->f);
		if (r <= 0)
			break;
	}
	free(j->buf);
	j->buf = NULL;
	if (r != 0) {
		err_wrap(e, "layer %.19s", digest_format(text, &j->d->digest));
		return r < 0 ? r : -EBADMSG;
	}
	progress_set(j->crew->pull->p, j->row, "Pull complete", 0, 0);
	return 0;
}

/* ---- all of them ---- */

static int layer_worker(void *arg, size_t i, struct err *e)
{
	struct job *j = &((struct crew *)arg)->jobs[i];

	return j->here ? 0 : layer_run(j, e);
}

static bool seen_before(const struct pull *pull, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (digest_equal(&pull->c->diff_ids[k], &pull->c->diff_ids[i]))
			return true;
	return false;
}

/* The jobs, and the progress's lines in the image's order. */
static void plan(struct crew *crew)
{
	const struct pull *pull = crew->pull;

	crew->jobs = xcalloc(pull->m->nlayers + 1, sizeof(*crew->jobs));
	for (size_t i = 0; i < pull->m->nlayers; i++) {
		struct job *j = &crew->jobs[crew->n];

		/* An image may hold the same layer twice. */
		if (seen_before(pull, i))
			continue;
		crew->n++;
		j->crew = crew;
		j->d = &pull->m->layers[i];
		j->diff_id = &pull->c->diff_ids[i];
		j->row = progress_row(pull->p, &j->d->digest);
	}
	for (size_t i = 0; i < crew->n; i++) {
		struct job *j = &crew->jobs[i];

		/*
		 * The same layer may be here from a blob that was compressed otherwise: the
		 * image is whole, for others who read the store, only with its own.
		 */
		j->here = store_layer_has(pull->s, j->diff_id, &j->size) &&
			  (pull->g == NULL || store_blob_has(pull->s, &j->d->digest, j->d->size));
		progress_set(pull->p, j->row, j->here ? "Already exists" : "Pulling fs layer", 0,
			     0);
	}
}

static size_t workers_for(const struct crew *crew)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = cpus > 0 ? (size_t)cpus : 1, todo = 0;

	if (n < PULL_WORKERS_MIN)
		n = PULL_WORKERS_MIN;
	if (n > PULL_WORKERS_MAX)
		n = PULL_WORKERS_MAX;
	if (config_get()->downloads)
		n = config_get()->downloads;
	for (size_t i = 0; i < crew->n; i++)
		todo += !crew->jobs[i].here;
	return n < todo ? n : todo;
}

int pull_layers(const struct pull *pull, uint64_t *size, struct err *e)
{
	struct crew crew = { .pull = pull };
	int r;

	if (pull->m->nlayers != pull->c->ndiff_ids)
		return err_set(e, EBADMSG,
			       "the manifest has %zu layers and the image config %zu diff ids",
			       pull->m->nlayers, pull->c->ndiff_ids);
	plan(&crew);
	r = workers_run(workers_for(&crew), crew.n, pull->cancel, layer_worker, &crew, e);
	*size = 0;
	for (size_t i = 0; i < crew.n; i++) {
		*size += crew.jobs[i].size;
		if (pull->fetched && crew.jobs[i].fetched)
			*pull->fetched = true;
	}
	free(crew.jobs);
	return r;
}
