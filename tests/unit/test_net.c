/* test_net.c: the network device and the engine behind it, against a driver, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/virtio/net.h"
#include "tests/unit/ringdriver.h"

#define RAM	 (4U << 20)
#define HDR	 12U
#define BUFFER	 1536U
#define PATIENCE 10000 /* ms */

enum { RX, TX };

static const uint8_t mac[NET_MAC_LEN] = { 2, 0x42, 1, 2, 3, 4 };
static struct loop *l;
static struct ringdriver d;
static struct rd_queue *q[2];
static struct virtio_device *net;
static int interrupt = -1;
static int broken;

static void signal_fd(struct virtq *vq)
{
	uint64_t one = 1;

	(void)vq;
	assert_int_equal(write(interrupt, &one, sizeof(one)), sizeof(one));
}

static void on_broken(struct virtio_device *dev, const char *why)
{
	(void)dev;
	assert_non_null(why);
	broken++;
}

static void start(uint64_t features)
{
	struct net_config conf = { .host_loopback = false };
	struct err e = ERR_INIT;

	rd_init(&d, RAM);
	l = loop_new(&e);
	interrupt = eventfd(0, EFD_CLOEXEC);
	net = virtio_net_new(l, mac, &conf, NULL, &e);
	assert_non_null(net);
	net->broken = on_broken;
	net->ops->set_features(net, features);
	for (unsigned i = 0; i < 2; i++) {
		q[i] = rd_queue(&d, i, 128, false);
		q[i]->q.signal = signal_fd;
		assert_int_equal(net->ops->queue_start(net, i, &q[i]->q, &e), 0);
	}
	broken = 0;
}

static void stop(void)
{
	net->ops->queue_stop(net, RX);
	net->ops->queue_stop(net, TX);
	virtio_net_free(net);
	loop_free(l);
	rd_free(&d);
	close(interrupt);
}

/* Gives the device n buffers for frames. */
static uint64_t offer(unsigned n, uint32_t len)
{
	uint64_t first = rd_alloc(&d, (size_t)n * len, 8);

	for (unsigned i = 0; i < n; i++) {
		struct rd_seg seg = { first + i * len, len, true };

		rd_add(q[RX], &seg, 1);
	}
	rd_kick(q[RX]);
	return first;
}

static void send_with(const struct virtio_net_hdr_v1 *h, const uint8_t *frame, uint32_t len)
{
	uint64_t at = rd_alloc(&d, HDR + len, 8);
	struct rd_seg seg[] = { { at, HDR, false }, { at + HDR, len, false } };

	memcpy(rd_ptr(&d, at), h, HDR);
	if (len)
		memcpy((uint8_t *)rd_ptr(&d, at) + HDR, frame, len);
	rd_add(q[TX], seg, len ? 2 : 1);
	rd_kick(q[TX]);
}

static void send_frame(const uint8_t *frame, uint32_t len)
{
	struct virtio_net_hdr_v1 h = { .flags = 0 };

	send_with(&h, frame, len);
}

static bool wait_used(struct rd_queue *rq, uint32_t *len)
{
	struct pollfd p = { .fd = interrupt, .events = POLLIN };
	uint64_t count;
	uint32_t head;

	while (!rd_used(rq, &head, len)) {
		if (poll(&p, 1, PATIENCE) != 1)
			return false;
		assert_int_equal(read(interrupt, &count, sizeof(count)), sizeof(count));
	}
	return true;
}

static void eth(uint8_t *frame, uint16_t type)
{
	memset(frame, 0xff, NET_MAC_LEN);
	memcpy(frame + NET_MAC_LEN, mac, NET_MAC_LEN);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

/* Who has `ip`? */
static void ask_arp(const char *ip)
{
	uint8_t f[42] = { 0 };
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	eth(f, 0x0806);
	memcpy(f + 14, head, sizeof(head));
	memcpy(f + 22, mac, sizeof(mac));
	inet_pton(AF_INET, NET_ADDRESS, f + 28);
	inet_pton(AF_INET, ip, f + 38);
	send_frame(f, sizeof(f));
}

/* An echo request to the gateway with n bytes; checksums as they must be. */
static uint32_t echo(uint8_t *f, uint32_t n)
{
	uint8_t *ip = f + NET_ETH_LEN, *icmp = ip + 20;
	uint32_t total = 20 + 8 + n, sum = 0;

	memset(f, 0, NET_ETH_LEN + total);
	eth(f, 0x0800);
	ip[0] = 0x45;
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	ip[8] = 64;
	ip[9] = IPPROTO_ICMP;
	inet_pton(AF_INET, NET_ADDRESS, ip + 12);
	inet_pton(AF_INET, NET_GATEWAY, ip + 16);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	icmp[0] = 8;
	icmp[4] = 7;
	return NET_ETH_LEN + total;
}

#define ALL (1ULL << VIRTIO_NET_F_MRG_RXBUF | 1ULL << VIRTIO_NET_F_GUEST_CSUM)

static void test_arp(void **state)
{
	const uint8_t gateway[] = { 10, 0, 2, 2 };
	uint64_t at;
	uint8_t *f;
	uint32_t len;

	(void)state;
	start(ALL);
	at = offer(2, BUFFER);
	ask_arp(NET_GATEWAY);
	assert_true(wait_used(q[TX], &len));
	assert_int_equal(len, 0);
	assert_true(wait_used(q[RX], &len));
	assert_true(len >= HDR + 42);
	f = rd_ptr(&d, at);
	assert_int_equal(f[0], VIRTIO_NET_HDR_F_DATA_VALID);
	assert_int_equal(f[10], 1);
	assert_memory_equal(f + HDR, mac, sizeof(mac));
	assert_memory_equal(f + HDR + 28, gateway, 4);
	stop();
}

/* A frame larger than a buffer goes into several, and waits until there are enough. */
static void test_large(void **state)
{
	static uint8_t frame[8192];
	struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .csum_start = NET_ETH_LEN + 20,
				       .csum_offset = 2 };
	uint32_t n = echo(frame, 4000), len, sum = 0;
	uint64_t at, more;

	(void)state;
	start(ALL);
	ask_arp(NET_GATEWAY); /* its answer has to wait, too */
	send_with(&h, frame, n);
	assert_true(wait_used(q[TX], &len));
	at = offer(2, BUFFER);
	assert_true(wait_used(q[RX], &len));
	assert_true(len < BUFFER);
	(void)at;
	more = offer(2, BUFFER);
	assert_true(wait_used(q[TX], &len)); /* the second frame is taken after the first is out */
	while (sum < HDR + n) {
		assert_true(wait_used(q[RX], &len));
		sum += len;
	}
	assert_int_equal(sum, HDR + n);
	assert_int_equal(((uint8_t *)rd_ptr(&d, at + BUFFER))[10], 3);
	assert_int_equal(((uint8_t *)rd_ptr(&d, at + BUFFER))[HDR + NET_ETH_LEN + 20], 0);
	(void)more;
	stop();
}

/* Without merging, a frame that is too large is lost, and the next one comes. */
static void test_unmerged(void **state)
{
	static uint8_t frame[8192];
	uint32_t n = echo(frame, 4000), len;
	uint64_t at;

	(void)state;
	start(0);
	at = offer(4, BUFFER);
	send_frame(frame, n); /* a wrong checksum: there is no answer */
	ask_arp(NET_NAMESERVER);
	assert_true(wait_used(q[RX], &len));
	assert_true(len < 100);
	assert_int_equal(((uint8_t *)rd_ptr(&d, at))[0], 0);
	assert_int_equal(broken, 0);
	stop();
}

static void wait_broken(void)
{
	while (!broken)
		assert_int_equal(loop_once(l, PATIENCE), 0);
}

static void test_broken(void **state)
{
	struct rd_seg seg = { 0, 64, true };

	(void)state;
	start(ALL);
	seg.gpa = rd_alloc(&d, 64, 8);
	rd_add(q[TX], &seg, 1); /* of the wrong direction */
	rd_kick(q[TX]);
	wait_broken();
	stop();
	start(ALL);
	seg = (struct rd_seg){ rd_alloc(&d, 64, 8), 4, true }; /* no room for a header */
	rd_add(q[RX], &seg, 1);
	ask_arp(NET_GATEWAY);
	wait_broken();
	stop();
}

static void test_nonsense(void **state)
{
	struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .csum_start = 60000,
				       .csum_offset = 60000 };
	struct virtio_net_hdr_v1 gso = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 };
	static uint8_t zero[2000];
	uint32_t len;

	(void)state;
	start(ALL);
	offer(2, BUFFER);
	send_frame(zero, 0);
	send_frame(zero, 13);
	send_frame(zero, sizeof(zero));
	send_with(&h, zero, 100);
	send_with(&gso, zero, 100);
	for (int i = 0; i < 5; i++)
		assert_true(wait_used(q[TX], &len));
	ask_arp(NET_GATEWAY);
	assert_true(wait_used(q[RX], &len));
	assert_int_equal(broken, 0);
	stop();
}

static bool allowed(const char *to)
{
	uint8_t f[NET_ETH_LEN + 40] = { 0 };

	if (strchr(to, ':')) {
		eth(f, 0x86dd);
		f[NET_ETH_LEN + 6] = IPPROTO_TCP;
		inet_pton(AF_INET6, to, f + NET_ETH_LEN + 24);
	} else {
		eth(f, 0x0800);
		inet_pton(AF_INET, to, f + NET_ETH_LEN + 16);
	}
	return net_allowed(f, sizeof(f));
}

static void test_filter(void **state)
{
	static const char *const no[] = {
		"127.0.0.1",	    "127.255.255.255", "0.0.0.0",     "0.1.2.3",
		"224.0.0.251",	    "255.255.255.255", "::",	      "::1",
		"::ffff:127.0.0.1", "::ffff:10.1.1.1", "::127.0.0.1", "ff02::fb"
	};
	static const char *const yes[] = { "10.0.2.2",	  "192.0.2.1", "126.0.0.1",   "128.0.0.1",
					   "2001:db8::1", "fe80::1",   "fd7a:6c00::2" };
	uint8_t f[NET_ETH_LEN + 40] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(allowed(no[i]));
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(allowed(yes[i]));
	eth(f, 0x8100);
	assert_false(net_allowed(f, sizeof(f)));
	eth(f, 0x86dd);
	assert_false(net_allowed(f, sizeof(f) - 1));
	eth(f, 0x0800);
	assert_false(net_allowed(f, NET_ETH_LEN + 19));
	assert_false(net_allowed(f, 13));
}

static void test_opens(void **state)
{
	uint8_t f[NET_ETH_LEN + 40] = { 0 };

	(void)state;
	eth(f, 0x0800);
	f[NET_ETH_LEN] = 0x45;
	f[NET_ETH_LEN + 9] = IPPROTO_TCP;
	assert_false(net_opens(f, sizeof(f)));
	f[NET_ETH_LEN + 20 + 13] = 2;
	assert_true(net_opens(f, sizeof(f)));
	assert_true(net_opens(f, NET_ETH_LEN + 20));
	f[NET_ETH_LEN + 9] = IPPROTO_UDP;
	assert_true(net_opens(f, sizeof(f)));
	eth(f, 0x0806);
	assert_false(net_opens(f, sizeof(f)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arp),	 cmocka_unit_test(test_large),
		cmocka_unit_test(test_unmerged), cmocka_unit_test(test_broken),
		cmocka_unit_test(test_nonsense), cmocka_unit_test(test_filter),
		cmocka_unit_test(test_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
