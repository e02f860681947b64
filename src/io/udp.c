/**
 * io/udp.c -- UDP sockets read in batches.
 *
 * WHAT  recvmmsg into memory that all sockets of a loop share, one callback
 *       a datagram.
 * WHY   A room may have a socket a speaker, so the memory must not be per
 *       socket; and a flood on one socket must not hold timers or others.
 * DESIGN
 *   - At most BATCHES_MAX batches a turn; the loop is level-triggered, so
 *     the rest comes next turn.
 *   - The kernel stamps wall time.  It is turned into monotonic time with
 *     the difference of the two clocks at the time of reading; a stamp that
 *     is in the future or too old then (the wall clock jumped in between)
 *     is replaced by the time of reading; none is before the one before it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/mem.h"
#include "io/inside.h"

enum {
	BATCH_N = 32,
	BATCHES_MAX = 4,	/* a turn of the loop, */
	BATCHES_READ_MAX = 128, /* and where it is read some times a second */
	DATAGRAM_MAX = 2048,	/* above any path MTU that voice meets */
	CONTROL_MAX = CMSG_SPACE(sizeof(struct timespec)),
	RCVBUF_BYTES = 1024 * 1024,
	STAMP_AGE_MAX_US = 5 * CLOCK_US_PER_S,
};

struct batch {
	struct mmsghdr msgs[BATCH_N];
	struct iovec iov[BATCH_N];
	struct addr from[BATCH_N];
	_Alignas(struct cmsghdr) uint8_t control[BATCH_N][CONTROL_MAX];
	uint8_t data[BATCH_N][DATAGRAM_MAX];
};

struct udp {
	struct watch watch;
	struct later later;
	struct loop *loop;
	struct batch *batch; /* the loop's */
	struct addr at;
	udp_fn *fn;
	void *arg;
	int64_t last_us; /* arrival of the newest */
	int fd;
	bool closed;
};

static void prepare(struct batch *b)
{
	for (int i = 0; i < BATCH_N; i++) {
		b->iov[i] = (struct iovec){
			.iov_base = b->data[i],
			.iov_len = DATAGRAM_MAX,
		};
		b->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &b->from[i].any,
			.msg_namelen = sizeof(b->from[i].any),
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = b->control[i],
			.msg_controllen = CONTROL_MAX,
		};
	}
}

/** Wall time minus monotonic time [us]. */
static int64_t clock_gap_us(int64_t now_us)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * CLOCK_US_PER_S + t.tv_nsec / 1000 - now_us;
}

static int64_t arrival(struct msghdr *msg, int64_t gap_us, int64_t now_us)
{
	struct timespec t;
	int64_t at_us;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		at_us = (int64_t)t.tv_sec * CLOCK_US_PER_S + t.tv_nsec / 1000 -
			gap_us;
		if (at_us <= now_us && at_us >= now_us - STAMP_AGE_MAX_US)
			return at_us;
	}
	return now_us;
}

static void deliver(struct udp *u, int n)
{
	struct batch *b = u->batch;
	int64_t now_us = clock_now_us();
	int64_t gap_us = clock_gap_us(now_us);

	for (int i = 0; i < n && !u->closed; i++) {
		struct msghdr *msg = &b->msgs[i].msg_hdr;
		struct datagram d = {
			.data = b->data[i],
			.len = b->msgs[i].msg_len,
			.from = &b->from[i],
			.arrival_us = arrival(msg, gap_us, now_us),
		};

		if (msg->msg_flags & MSG_TRUNC) {
			counter_add(COUNT_udp_too_long, 1);
			continue;
		}
		if (d.arrival_us < u->last_us)
			d.arrival_us = u->last_us;
		u->last_us = d.arrival_us;
		b->from[i].len = msg->msg_namelen;
		addr_unmap(&b->from[i]);
		u->fn(&d, u->arg);
	}
}

static void read_batches(struct udp *u, int most)
{
	for (int i = 0; i < most && !u->closed; i++) {
		int n;

		prepare(u->batch);
		n = recvmmsg(u->fd, u->batch->msgs, BATCH_N, MSG_DONTWAIT,
			     NULL);
		/* EAGAIN, or an ICMP error, which is cleared by the read: no
		 * error of a peer closes our socket. */
		if (n <= 0)
			return;
		deliver(u, n);
		if (n < BATCH_N)
			return;
	}
}

static void on_readable(struct watch *w, unsigned events, int64_t now_us)
{
	(void)events;
	(void)now_us;
	read_batches(CONTAINER_OF(w, struct udp, watch), BATCHES_MAX);
}

void udp_read(struct udp *u)
{
	read_batches(u, BATCHES_READ_MAX);
}

static void set_room(int fd, int bytes, bool force)
{
	if (!force ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes,
				 sizeof(bytes));
}

void udp_set_room(struct udp *u, int bytes)
{
	set_room(u->fd, bytes, true);
}

int udp_try_room(int bytes, bool force)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int doubled = 0; /* socket(7): for the books */
	socklen_t len = sizeof(doubled);

	if (fd < 0)
		return 0;
	set_room(fd, bytes, force);
	(void)getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &doubled, &len);
	close(fd);
	return doubled / 2;
}

void udp_unwatch(struct udp *u)
{
	watch_stop(&u->watch);
}

int udp_watch(struct udp *u)
{
	return watch_start(&u->watch, u->loop, u->fd, WATCH_READ, on_readable);
}

static int take_batch(struct loop *loop, struct batch **out)
{
	void **slot = loop_scratch(loop);

	if (!*slot)
		*slot = mem_zalloc(sizeof(struct batch));
	*out = *slot;
	return *slot ? 0 : ENOMEM;
}

/** Have the kernel drop what has not come by this interface. */
static int hear_only(int fd, unsigned interface)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (unsigned)(SKF_AD_OFF + SKF_AD_IFINDEX)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, interface, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	enum { CODE_N = sizeof(code) / sizeof(code[0]) };
	const struct sock_fprog filter = {.len = CODE_N, .filter = code};
	socklen_t n = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
		       sizeof(filter)) ||
	    getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n))
		return errno;
	return n == CODE_N ? 0 : EOPNOTSUPP; /* some say yes, and have none */
}

static int bind_socket(struct udp *u, const struct addr *at, unsigned interface)
{
	const int on = 1;
	const int off = 0;
	const int bytes = RCVBUF_BYTES;
	int err;

	u->fd = socket(at->sa.sa_family,
		       SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0)
		return errno;
	/* Both are better with, and fine without. */
	(void)setsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	(void)setsockopt(u->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (at->sa.sa_family == AF_INET6 &&
	    setsockopt(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return errno;
	err = interface ? hear_only(u->fd, interface) : 0;
	if (err)
		return err;
	if (bind(u->fd, &at->sa, at->len))
		return errno;
	u->at.len = sizeof(u->at.any);
	return getsockname(u->fd, &u->at.sa, &u->at.len) ? errno : 0;
}

int udp_open_on(struct loop *loop, const struct addr *at, unsigned interface,
		udp_fn *fn, void *arg, struct udp **out)
{
	struct udp *u = mem_zalloc(sizeof(*u));
	int err;

	assert(loop_is_mine(loop));
	if (!u)
		return ENOMEM;
	*u = (struct udp){.loop = loop, .fn = fn, .arg = arg, .fd = -1};
	err = take_batch(loop, &u->batch);
	if (!err)
		err = bind_socket(u, at, interface);
	if (!err)
		err = udp_watch(u);
	if (err) {
		if (u->fd >= 0)
			close(u->fd);
		mem_free(u);
		return err;
	}
	*out = u;
	return 0;
}

int udp_open(struct loop *loop, const struct addr *at, udp_fn *fn, void *arg,
	     struct udp **out)
{
	return udp_open_on(loop, at, 0, fn, arg, out);
}

int udp_send(struct udp *u, const struct addr *to, const void *data, size_t len)
{
	struct addr mapped = *to;
	ssize_t n;

	if (u->at.sa.sa_family == AF_INET6)
		addr_map(&mapped);
	n = sendto(u->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, &mapped.sa,
		   mapped.len);
	return n < 0 ? errno : 0;
}

void udp_addr(const struct udp *u, struct addr *out)
{
	*out = u->at;
}

static void free_later(struct later *later)
{
	mem_free(CONTAINER_OF(later, struct udp, later));
}

void udp_close(struct udp *u)
{
	if (!u)
		return;
	assert(!u->closed);
	watch_stop(&u->watch);
	close(u->fd);
	u->closed = true;
	loop_later(u->loop, &u->later, free_later);
}
