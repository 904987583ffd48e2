/* query.c: asks the guest what its container uses, for whoever asks; see holder.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/usage.h"
#include "runtime/fuse/fuse.h"
#include "vsock/codec.h"

/* How long a guest may take; software emulation on a busy host is slow. */
#define PATIENCE_NS (20ULL * 1000000000)

/*
 * The answer is put together here as it comes, and written in one go to a
 * file of the asking client's: the holder waits for nobody.
 */
struct query {
	struct query *next;
	struct holder *holder;
	uint32_t id;
	struct ctl_peer *peer;
	int fd;
	struct str answer;
	struct loop_timer *patience;
};

static void query_free(struct query *q)
{
	struct query **at = &q->holder->queries;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	loop_cancel(q->patience);
	close(q->fd);
	str_free(&q->answer);
	free(q);
}

static struct query *find(struct holder *h, uint32_t id)
{
	struct query *q = h->queries;

	while (q && q->id != id)
		q = q->next;
	return q;
}

static void no_answer(void *arg)
{
	struct query *q = arg;

	q->patience = NULL;
	ctl_reply(q->peer, -ETIMEDOUT, 0, "the container's machine does not answer");
	query_free(q);
}

static int may_query(const struct holder *h, int fd, struct err *e)
{
	struct stat st;
	unsigned n = 0;

	if (h->phase != HOLDER_RUNNING)
		return err_set(e, ESRCH, "container %s is not running", h->spec->id);
	if (h->state.status == BOX_PAUSED)
		return err_set(e, EBUSY,
			       "container %s is paused: its machine can tell nothing until it is "
			       "unpaused",
			       h->spec->id);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EPROTO, "malformed request");
	for (const struct query *q = h->queries; q; q = q->next)
		n++;
	return n < HOLDER_QUERIES_MAX ? 0 : err_set(e, EAGAIN, "too many requests at once");
}

int query_begin(struct holder *h, struct ctl_peer *p, bool processes, int fd, struct err *e)
{
	own_str struct str frame = STR_INIT;
	own_fd int file = fd;
	struct wire_query m = { .id = ++h->next_query, .processes = processes };
	struct query *q;
	int rc = may_query(h, fd, e);

	if (rc < 0)
		return rc;
	wire_put_query(&frame, &m);
	rc = agent_send(h->agent, &frame);
	if (rc < 0)
		return err_set(e, -rc, "the container's machine does not answer");
	q = xcalloc(1, sizeof(*q));
	*q = (struct query){
		.next = h->queries, .holder = h, .id = m.id, .peer = p, .fd = steal_fd(&file)
	};
	q->patience = loop_after(h->loop, PATIENCE_NS, no_answer, q);
	h->queries = q;
	return 0;
}

void query_process(struct holder *h, const struct wire_process *m)
{
	struct query *q = find(h, m->query);

	if (q && q->answer.len <= WIRE_PROCESSES_MAX)
		wire_put_process(&q->answer, m);
}

static void count(const struct fuse *fs, uint64_t *in, uint64_t *out)
{
	uint64_t r = 0, w = 0;

	if (fs)
		fuse_counters(fs, &r, &w);
	*in += r;
	*out += w;
}

void query_stats(struct holder *h, const struct wire_stats *m)
{
	struct query *q = find(h, m->query);
	struct usage_host host = { 0 };
	int rc;

	if (q == NULL)
		return;
	count(h->vm.root_fs, &host.block_read, &host.block_written);
	count(h->vm.host_fs, &host.block_read, &host.block_written);
	wire_put_stats(&q->answer, m);
	rc = fd_write_full(q->fd, &host, sizeof(host));
	if (rc == 0)
		rc = fd_write_full(q->fd, q->answer.s, q->answer.len);
	ctl_reply(q->peer, rc, 0, rc < 0 ? "the answer cannot be written" : NULL);
	query_free(q);
}

void query_forget(struct holder *h, const struct ctl_peer *p)
{
	struct query *q = h->queries, *next;

	for (; q; q = next) {
		next = q->next;
		if (p == NULL || q->peer == p)
			query_free(q);
	}
}
