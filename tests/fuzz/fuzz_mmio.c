/* fuzz_mmio.c: a guest that writes anything into registers, rings and memory of a vsock device. */
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/virtio/vsock.h"
#include "runtime/vmm/vmm.h"

/*
 * The input is a script: each step is an operation byte and its operands.
 * The guest's memory is small, so that random addresses often meet.
 */
#define RAM	  (64U << 10)
#define STEPS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t push(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	size_t all = 0;

	(void)arg;
	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	vsock_want_pull(c);
	return (ssize_t)(all > 7 ? all / 2 : all);
}

static ssize_t pull(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	(void)c;
	(void)arg;
	if (n < 1 || iov[0].iov_len == 0)
		return 0;
	memset(iov[0].iov_base, 'x', iov[0].iov_len);
	return (ssize_t)iov[0].iov_len;
}

static void eof(struct vsock_conn *c, void *arg)
{
	(void)arg;
	vsock_end(c);
}

static void closed(struct vsock_conn *c, void *arg)
{
	(void)c;
	(void)arg;
}

static const struct vsock_conn_ops conn_ops = {
	.push = push,
	.pull = pull,
	.eof = eof,
	.closed = closed,
};

static const struct vsock_conn_ops *accept_all(void *ctx, struct vsock_conn *c, uint32_t port,
					       void **arg)
{
	(void)ctx;
	(void)c;
	*arg = NULL;
	return port & 1 ? &conn_ops : NULL;
}

static void step(struct mmio_dev *m, struct loop *l, uint8_t *ram, uint8_t op, struct cur *c)
{
	uint64_t one = 1, value = 0;
	const void *bytes;
	uint16_t at;
	uint8_t len;

	switch (op % 5) {
	case 0: /* write a register */
		if (cur_u16(c, &at) && cur_u8(c, &len) && cur_copy(c, &value, sizeof(uint32_t)))
			mmio_write(m, at % VMM_VIRTIO_STEP, &value, len % 9);
		break;
	case 1: /* read one */
		if (cur_u16(c, &at) && cur_u8(c, &len))
			mmio_read(m, at % VMM_VIRTIO_STEP, &value, len % 9);
		break;
	case 2: /* write memory */
		if (cur_u16(c, &at) && cur_u8(c, &len) && cur_bytes(c, len, &bytes))
			memcpy(ram + at, bytes, len < RAM - at ? len : RAM - at);
		break;
	case 3: /* kick */
		if (cur_u8(c, &len) && write(m->queues[len % m->dev->ops->num_queues].q.kick_fd,
					     &one, sizeof(one)) < 0)
			abort();
		break;
	case 4: /* let the device work */
		loop_once(l, 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur c = cur_of(data, size);
	struct loop *l = loop_new(NULL);
	struct virtio_device *dev = virtio_vsock_new(l, accept_all, NULL, NULL);
	uint8_t *ram = calloc(1, RAM), *page = calloc(1, VMM_VIRTIO_STEP), op;
	struct vmm v = { .loop = l, .loop_thread = pthread_self() };
	struct mmio_dev m;

	v.mem = (struct gmem){ 1, { { 0, RAM, ram } } };
	if (mmio_init(&m, &v, dev, 0, NULL) < 0)
		abort();
	mmio_show(&m, page);
	for (unsigned i = 0; i < STEPS_MAX && cur_u8(&c, &op); i++)
		step(&m, l, ram, op, &c);
	for (unsigned i = 0; i < 4; i++)
		loop_once(l, 0);
	mmio_free(&m);
	virtio_vsock_free(dev);
	loop_free(l);
	free(page);
	free(ram);
	return 0;
}
