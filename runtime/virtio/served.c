/* served.c: queues of simple devices, served on the loop; see served.h. */
#include "runtime/virtio/served.h"

#include <unistd.h>

/* Chains served before the loop's other watches get their turn. */
#define SERVED_TURN 64

static void stop_broken(struct served_queue *s)
{
	struct virtio_device *d = s->dev;

	served_stop(s);
	d->broken(d, "a request breaks the device's rules");
}

static void on_kick(void *arg, uint32_t events)
{
	struct served_queue *s = arg;
	bool asked = false; /* for a kick, since the queue was last seen empty */
	uint64_t kicks;
	int rc = 0;

	(void)events;
	if (read(s->q->kick_fd, &kicks, sizeof(kicks)) < 0)
		return; /* somebody else's wake-up */
	for (unsigned i = 0; i < SERVED_TURN; i++) {
		ssize_t n;

		rc = virtq_pop(s->q, s->chain);
		if (rc < 0 || (rc == 0 && asked))
			break;
		if (rc == 0) {
			virtq_want_kick(s->q, true);
			asked = true;
			continue;
		}
		asked = false;
		n = s->serve(s->dev, s->index, s->chain);
		if (n < 0) {
			rc = -1;
			break;
		}
		virtq_push(s->q, s->chain->head, (uint32_t)n);
	}
	virtq_notify(s->q);
	if (rc < 0) {
		stop_broken(s);
	} else if (rc > 0) {
		uint64_t one = 1;

		/* more is waiting: come back by way of the loop */
		if (write(s->q->kick_fd, &one, sizeof(one)) < 0)
			stop_broken(s);
	}
}

int served_start(struct served_queue *s, struct virtio_device *d, unsigned index, struct virtq *q,
		 struct virtq_chain *chain, served_fn *serve, struct err *e)
{
	*s = (struct served_queue){ d, q, NULL, index, serve, chain };
	virtq_want_kick(q, true);
	s->watch = loop_add(d->loop, q->kick_fd, EPOLLIN, on_kick, s, e);
	return s->watch ? 0 : -1;
}

void served_stop(struct served_queue *s)
{
	loop_del(s->watch);
	s->watch = NULL;
}
