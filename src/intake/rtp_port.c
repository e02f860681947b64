/** intake/rtp_port.c -- a UDP socket that feeds an input, and answers RTCP. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <errno.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/mem.h"

/* What has come meanwhile is replayed in steps of so much, so that the ring
 * holds what it would had the port been read all the time. */
enum { STEP_US = 50 * 1000 };

struct rtp_port {
	struct udp *udp;
	struct input *in;    /* the owner's */
	int64_t advanced_us; /* the input was, to there */
};

static void on_datagram(const struct datagram *d, void *arg)
{
	struct rtp_port *p = arg;

	uint8_t report[RTCP_REPORT_MAX];
	size_t len;

	if (d->arrival_us - p->advanced_us >= STEP_US) {
		p->advanced_us = d->arrival_us;
		input_advance(p->in, d->arrival_us);
	}
	input_packet(p->in, d->data, d->len, d->from, d->arrival_us);
	/* now, not then: the sender wants to know how long it took */
	len = input_report(p->in, clock_now_us(), report);
	if (len == 0)
		return;
	counter_add(COUNT_rtcp_reports, 1);
	/* To where it came from and nowhere else.  Whether it gets there is
	 * the sender's matter; no error of this changes the socket. */
	(void)udp_send(p->udp, d->from, report, len);
}

int rtp_port_open(struct loop *loop, const struct addr *at, struct input *in,
		  struct rtp_port **out)
{
	struct rtp_port *p = mem_zalloc(sizeof(*p));
	int err;

	if (!p)
		return ENOMEM;
	p->in = in;
	err = udp_open(loop, at, on_datagram, p, &p->udp);
	if (err) {
		mem_free(p);
		return err;
	}
	udp_unwatch(p->udp);
	*out = p;
	return 0;
}

void rtp_port_read(struct rtp_port *p)
{
	udp_read(p->udp);
}

void rtp_port_addr(const struct rtp_port *p, struct addr *out)
{
	udp_addr(p->udp, out);
}

void rtp_port_close(struct rtp_port *p)
{
	if (!p)
		return;
	udp_close(p->udp);
	mem_free(p);
}
