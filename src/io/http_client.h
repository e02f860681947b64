/** io/http_client.h -- what the files of the HTTP client share; private. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_HTTP_CLIENT_H
#define IO_HTTP_CLIENT_H

#include <curl/curl.h>

#include "base/map.h"
#include "io/io.h"

enum {
	HTTP_URL_MAX = 2083,	  /* of an endpoint, as configured */
	HTTP_CALL_URL_MAX = 8192, /* with what a call puts behind it */
	HTTP_HOST_MAX = 253, /* RFC 1035 section 2.3.4, without the last dot */
	HTTP_MAX_ADDRS = 8,  /* kept of a name; all are vetted */
	HTTP_DNS_MAX = 1024, /* names remembered */
	HTTP_DNS_NEGATIVE_S = 30,
};

/* ---- http_url.c --------------------------------------------------------- */

struct http_url {
	bool tls;
	uint16_t port;
	char host[HTTP_HOST_MAX + 1]; /* without brackets, as written */
	bool literal;		      /* the host is an address: addr */
	struct addr addr;
};

/** As http_url_check, and take it apart; up to HTTP_CALL_URL_MAX bytes. */
MUST_CHECK int http_url_parse(const char *url, struct http_url *out,
			      struct err *e);

/* ---- http_dns.c --------------------------------------------------------- */

/** What is known of a name: addresses, or why there are none. */
struct http_addrs {
	size_t n;
	struct addr addrs[HTTP_MAX_ADDRS];
	bool refused;	/* vetting said no */
	char text[128]; /* "" or the reason */
};

/** Someone who waits for a name; `fn` calls nobody outside io. */
struct http_lookup {
	struct link link;
	void (*fn)(struct http_lookup *lookup, const struct http_addrs *addrs);
};

/** Refuse an address that is not global: fills `out->refused` and its text.
 *  `host` may be NULL. */
void http_addrs_vet(struct http_addrs *out, const char *host,
		    const struct addr *addr);

struct http_dns;
MUST_CHECK int http_dns_new(struct loop *loop, struct workers *workers,
			    int64_t ttl_us, struct http_dns **out);
/** Nobody may wait any more.  Lookups that run end by themselves. */
void http_dns_free(struct http_dns *dns);
/**
 * Ask for a host's addresses.  Known: `*out` is set (valid until the next
 * turn).  Unknown: `*out` is NULL, `fn` is called later; http_dns_forget
 * before that takes the wish back.  Returns 0 or ENOMEM.
 */
MUST_CHECK int http_dns_ask(struct http_dns *dns, const char *host,
			    bool allow_private, struct http_lookup *lookup,
			    const struct http_addrs **out);
void http_dns_forget(struct http_lookup *lookup);

/* ---- http_pool.c -------------------------------------------------------- */

/** One libcurl multi handle on the loop.  */
struct http_pool {
	struct loop *loop;
	CURLM *multi;
	struct timer timer;
	struct link sockets;
	/* called for each transfer that ended, never inside libcurl */
	void (*ended)(CURL *easy, CURLcode code);
};

MUST_CHECK int http_pool_init(struct http_pool *p, struct loop *loop,
			      unsigned max_connections,
			      void (*ended)(CURL *easy, CURLcode code));
/** All transfers have been removed. */
void http_pool_fini(struct http_pool *p);

/* ---- http_curl.c -------------------------------------------------------- */

/** Is the call one that may be sent?  Returns 0 or EINVAL with `e`. */
MUST_CHECK int http_call_check(const struct http_call *call, struct err *e);
/** The call's header fields, and those that switch libcurl's own off. */
MUST_CHECK struct curl_slist *http_call_fields(const struct http_call *call);
/**
 * Set all that does not depend on who sends.  `call` and what it points at
 * must live until the transfer ended; `fields` is http_call_fields, `error`
 * has CURL_ERROR_SIZE bytes.  Returns 0 or ENOMEM.
 */
MUST_CHECK int http_curl_setup(CURL *easy, const struct http_call *call,
			       struct curl_slist *fields, char *error);
/** The errno that says what went wrong; EIO: anything else. */
int http_curl_errno(CURLcode code);
/** One line about what went wrong. */
void http_curl_error(CURL *easy, CURLcode code, const char *error, char *out,
		     size_t cap);

#endif
