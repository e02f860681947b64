/**
 * io/http_limits.c -- who may connect: so many in all, so many an address.
 *
 * WHY     One client that opens connections without end must not keep the
 *         others out, nor fill the log with it.
 * DESIGN  One person has one IPv4 address, or a whole IPv6 /64.  Loopback is
 *         exempt unless asked for: behind a proxy on this machine all
 *         clients have its address.  A walk over at most all connections is
 *         less than what the kernel did to bring this one.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"

enum { SAMPLE_US = 60 * CLOCK_US_PER_S };

static bool is_same_host(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	return a->sa.sa_family == AF_INET6 &&
	       !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 8);
}

static bool is_over_its_share(const struct http_server *s,
			      const struct addr *from)
{
	unsigned n = 0;

	if (!s->config.max_per_address)
		return false;
	if (!s->config.limit_loopback && addr_is_loopback(from))
		return false;
	LIST_EACH(&s->guests, l, after)
	n += is_same_host(&CONTAINER_OF(l, struct http_guest, link)->peer,
			  from);
	return n >= s->config.max_per_address;
}

bool http_sample(struct http_sample *sample, int64_t now_us, unsigned *n)
{
	sample->n++;
	if (now_us < sample->next_us)
		return false;
	sample->next_us = now_us + SAMPLE_US;
	*n = sample->n;
	sample->n = 0;
	return true;
}

static void tell(struct http_server *s, const struct addr *from,
		 const char *why, unsigned limit)
{
	char text[ADDR_TEXT_MAX];
	unsigned n;

	if (http_sample(&s->full, loop_now_us(s->loop), &n))
		log_warn("http connections refused=%u: %s (%u), the last from "
			 "%s",
			 n, why, limit, addr_write(from, text));
}

bool http_guest_may_come(struct http_server *s, const struct addr *from)
{
	if (s->n_guests >= s->config.max_connections) {
		counter_add(COUNT_http_full, 1);
		tell(s, from, "as many as may be are open",
		     s->config.max_connections);
		return false;
	}
	if (is_over_its_share(s, from)) {
		counter_add(COUNT_http_address_full, 1);
		tell(s, from, "one address has as many as it may",
		     s->config.max_per_address);
		return false;
	}
	return true;
}

void http_guest_add(struct http_server *s, struct http_guest *g)
{
	list_append(&s->guests, &g->link);
	s->n_guests++;
	counter_add(COUNT_http_connections, 1);
}

void http_guest_remove(struct http_server *s, struct http_guest *g)
{
	list_remove(&g->link);
	s->n_guests--;
	counter_add(COUNT_http_connections, -1);
}
