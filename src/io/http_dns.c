/**
 * io/http_dns.c -- names to addresses, once for all who ask, vetted.
 *
 * WHAT  getaddrinfo on the workers; every address is vetted there and the
 *       result is kept for a time, good or bad.
 * WHY   Who checks a name and then lets the library resolve it again checks
 *       nothing: the second answer may be another (DNS rebinding).
 * DESIGN
 *   - The permission for private addresses is part of the key: a result
 *     that was never vetted is never seen by a call that needs it vetted.
 *   - One lookup a name at a time; all who want it wait on its entry.
 *   - An entry whose lookup runs belongs to the workers: when the cache goes
 *     it becomes an orphan and frees itself when the lookup is back.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* so that the advice at the end of the text is never cut off */
enum { HOST_AND_ADDR_MAX = 48 };

struct http_dns {
	struct loop *loop;
	struct workers *workers;
	int64_t ttl_us;
	struct map entries;
};

struct entry {
	/* fixed after it was made */
	struct loop *loop;
	bool allow_private;
	char key[HTTP_HOST_MAX + 2]; /* '+' private allowed or '-', host */

	/* loop thread */
	struct http_dns *dns; /* NULL: an orphan */
	struct map_node node;
	struct link waiting; /* of struct http_lookup */
	struct http_addrs known;
	int64_t expires_us; /* 0: nothing known */
	bool busy;	    /* the lookup is under way */

	/* worker, while the job runs */
	struct job job;
	struct http_addrs fresh;
};

static const char *host_of(const struct entry *e)
{
	return e->key + 1;
}

void http_addrs_vet(struct http_addrs *out, const char *host,
		    const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	char of[HOST_AND_ADDR_MAX + 5] = "";
	struct addr bare = *addr;

	if (addr_is_global(addr) || out->refused)
		return;
	addr_set_port(&bare, 0);
	addr_write(&bare, text);
	/* "1.2.3.4:0" and "[::1]:0": the port says nothing here */
	if (strrchr(text, ':'))
		*strrchr(text, ':') = '\0';
	out->refused = true;
	if (host && strlen(host) + strlen(text) < HOST_AND_ADDR_MAX)
		snprintf(of, sizeof(of), " of %s", host);
	snprintf(out->text, sizeof(out->text),
		 "address %s%s is private: set allow_private: true on the "
		 "endpoint to permit it",
		 text, of);
}

/* ---- on a worker -------------------------------------------------------- */

static void take_addrs(struct entry *e, const struct addrinfo *list)
{
	struct http_addrs *fresh = &e->fresh;

	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		struct addr a = {.len = ai->ai_addrlen};

		if (ai->ai_addrlen > sizeof(a.any))
			continue;
		memcpy(&a.any, ai->ai_addr, ai->ai_addrlen);
		if (!e->allow_private)
			http_addrs_vet(fresh, host_of(e), &a);
		if (fresh->n < HTTP_MAX_ADDRS)
			fresh->addrs[fresh->n++] = a;
	}
	if (fresh->refused)
		fresh->n = 0;
}

static void run_lookup(struct job *job)
{
	struct entry *e = CONTAINER_OF(job, struct entry, job);
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int err;

	e->fresh = (struct http_addrs){0};
	err = getaddrinfo(host_of(e), NULL, &hints, &list);
	if (err) {
		snprintf(e->fresh.text, sizeof(e->fresh.text),
			 "cannot resolve %.60s: %s", host_of(e),
			 gai_strerror(err));
		return;
	}
	take_addrs(e, list);
	freeaddrinfo(list);
	if (e->fresh.n == 0 && !e->fresh.refused)
		snprintf(e->fresh.text, sizeof(e->fresh.text),
			 "cannot resolve %.60s: it has no address", host_of(e));
}

/* ---- on the loop -------------------------------------------------------- */

static void lookup_done(struct job *job)
{
	struct entry *e = CONTAINER_OF(job, struct entry, job);
	int64_t keep_us = HTTP_DNS_NEGATIVE_S * CLOCK_US_PER_S;

	if (!e->dns) {
		mem_free(e);
		return;
	}
	e->busy = false;
	e->known = e->fresh;
	if (e->known.n > 0 || e->dns->ttl_us < keep_us)
		keep_us = e->dns->ttl_us;
	e->expires_us = loop_now_us(e->loop) + keep_us;
	while (!list_is_empty(&e->waiting)) {
		struct http_lookup *l = CONTAINER_OF(list_first(&e->waiting),
						     struct http_lookup, link);

		list_remove(&l->link);
		l->fn(l, &e->known);
	}
}

static void entry_drop(struct entry *e)
{
	map_remove(&e->dns->entries, &e->node);
	e->dns = NULL;
	if (!e->busy)
		mem_free(e);
}

/* Make room: what has expired, else anything that nobody waits for. */
static void evict(struct http_dns *dns, int64_t now_us)
{
	struct map_node *node = map_next(&dns->entries, NULL);

	while (node) {
		struct entry *e = CONTAINER_OF(node, struct entry, node);

		node = map_next(&dns->entries, node);
		if (!e->busy && e->expires_us <= now_us)
			entry_drop(e);
	}
	node = map_next(&dns->entries, NULL);
	while (node && dns->entries.n >= HTTP_DNS_MAX) {
		struct entry *e = CONTAINER_OF(node, struct entry, node);

		node = map_next(&dns->entries, node);
		if (!e->busy)
			entry_drop(e);
	}
}

static struct entry *entry_new(struct http_dns *dns, const char *key)
{
	struct entry *e;

	if (dns->entries.n >= HTTP_DNS_MAX)
		evict(dns, loop_now_us(dns->loop));
	e = mem_zalloc(sizeof(*e));
	if (!e)
		return NULL;
	e->dns = dns;
	e->loop = dns->loop;
	e->allow_private = key[0] == '+';
	snprintf(e->key, sizeof(e->key), "%s", key);
	list_init(&e->waiting);
	if (map_add(&dns->entries, &e->node, e->key, strlen(e->key))) {
		mem_free(e);
		return NULL;
	}
	return e;
}

int http_dns_ask(struct http_dns *dns, const char *host, bool allow_private,
		 struct http_lookup *lookup, const struct http_addrs **out)
{
	char key[HTTP_HOST_MAX + 2];
	struct map_node *node;
	struct entry *e;

	snprintf(key, sizeof(key), "%c%s", allow_private ? '+' : '-', host);
	for (char *p = key; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	node = map_find(&dns->entries, key, strlen(key));
	e = node ? CONTAINER_OF(node, struct entry, node) : entry_new(dns, key);
	if (!e)
		return ENOMEM;
	*out = NULL;
	if (!e->busy && e->expires_us > loop_now_us(dns->loop)) {
		*out = &e->known;
		return 0;
	}
	list_append(&e->waiting, &lookup->link);
	if (!e->busy) {
		e->busy = true;
		e->job.run = run_lookup;
		e->job.key = map_hash(e->key, strlen(e->key));
		workers_run(dns->workers, &e->job, dns->loop, lookup_done);
	}
	return 0;
}

void http_dns_forget(struct http_lookup *lookup)
{
	list_remove(&lookup->link);
}

int http_dns_new(struct loop *loop, struct workers *workers, int64_t ttl_us,
		 struct http_dns **out)
{
	struct http_dns *dns = mem_zalloc(sizeof(*dns));

	if (!dns)
		return ENOMEM;
	dns->loop = loop;
	dns->workers = workers;
	dns->ttl_us = ttl_us;
	map_init(&dns->entries);
	*out = dns;
	return 0;
}

void http_dns_free(struct http_dns *dns)
{
	struct map_node *node;

	if (!dns)
		return;
	node = map_next(&dns->entries, NULL);
	while (node) {
		struct entry *e = CONTAINER_OF(node, struct entry, node);

		node = map_next(&dns->entries, node);
		assert(list_is_empty(&e->waiting));
		entry_drop(e);
	}
	map_fini(&dns->entries);
	mem_free(dns);
}
