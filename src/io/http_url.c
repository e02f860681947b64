/**
 * io/http_url.c -- which URLs a callback may have.
 *
 * WHY  Hosts that two parsers read differently ("0x7f.1", "127.1",
 *      "a@b", "host.") are how address checks are walked around.  Only the
 *      plain forms pass here, and libcurl must agree with us on each part.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { LABEL_MAX = 63 };

#define DIGITS "0123456789"
#define LETTERS                      \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static int fault(struct err *e, const char *text)
{
	return err_set(e, EINVAL, "url", "%s", text);
}

/* "5" or "0x7f": the WHATWG URL rule "ends in a number".  Such a host is an
 * IPv4 address to some parsers, whatever stands before it. */
static bool is_number(const char *label)
{
	if (label[strspn(label, DIGITS)] == '\0')
		return true;
	if (label[0] != '0' || (label[1] != 'x' && label[1] != 'X'))
		return false;
	return label[2 + strspn(label + 2, DIGITS "abcdefABCDEF")] == '\0';
}

static int name_check(const char *host, struct err *e)
{
	const char *label = host;
	const char *last = strrchr(host, '.');

	if (host[strspn(host, LETTERS DIGITS "-._")] != '\0')
		return fault(e, "the host may hold letters, digits, '-', '.' "
				"and '_' only; write other names in punycode");
	if (host[strlen(host) - 1] == '.')
		return fault(e, "the host must not end in a dot");
	for (;;) {
		size_t len = strcspn(label, ".");

		if (len == 0 || len > LABEL_MAX)
			return fault(e, "each part of the host has 1 to 63 "
					"characters");
		if (!label[len])
			break;
		label += len + 1;
	}
	if (is_number(last ? last + 1 : host))
		return fault(e, "an IPv4 address is written as four decimal "
				"numbers without leading zeros");
	return 0;
}

/* The host, between "://" and ":port" or the path. */
static int host_parse(const char *text, size_t len, struct http_url *out,
		      struct err *e)
{
	bool bracket = len > 0 && text[0] == '[';

	if (bracket) {
		if (len < 3 || text[len - 1] != ']')
			return fault(e, "'[' in the host without ']'");
		text++;
		len -= 2;
	}
	if (len == 0)
		return fault(e, "there is no host");
	if (len > HTTP_HOST_MAX)
		return fault(e, "the host has at most 253 characters");
	memcpy(out->host, text, len);
	out->host[len] = '\0';
	if (bracket) {
		out->literal = true;
		out->addr.in6.sin6_family = AF_INET6;
		out->addr.len = sizeof(out->addr.in6);
		if (inet_pton(AF_INET6, out->host, &out->addr.in6.sin6_addr) ==
		    1)
			return 0;
		return fault(e, "between '[' and ']' an IPv6 address is "
				"needed, without a zone");
	}
	if (inet_pton(AF_INET, out->host, &out->addr.in4.sin_addr) == 1) {
		out->literal = true;
		out->addr.in4.sin_family = AF_INET;
		out->addr.len = sizeof(out->addr.in4);
		return 0;
	}
	return name_check(out->host, e);
}

static int authority_parse(const char *text, size_t len, struct http_url *out,
			   struct err *e)
{
	const char *end = text + len;
	const char *host_end = end;
	const char *bracket = memchr(text, ']', len);
	const char *colon = bracket ? bracket + 1 : memchr(text, ':', len);
	char port[8] = "";
	int64_t value;
	int err;

	if (memchr(text, '@', len))
		return fault(e, "a user or password in the URL is not "
				"permitted");
	if (colon && colon < end) {
		if (*colon != ':')
			return fault(e, "after ']' only ':' and a port or the "
					"path may come");
		host_end = colon;
		if ((size_t)(end - colon - 1) < sizeof(port))
			memcpy(port, colon + 1, (size_t)(end - colon - 1));
		if (str_to_i64(port, 1, UINT16_MAX, &value))
			return fault(e, "the port is a number from 1 to 65535");
		out->port = (uint16_t)value;
	}
	err = host_parse(text, (size_t)(host_end - text), out, e);
	if (!err && out->literal)
		addr_set_port(&out->addr, out->port);
	return err;
}

/* libcurl must read the same host out of it. */
static int cross_check(const char *url, const struct http_url *u, struct err *e)
{
	CURLU *parsed = curl_url();
	char *host = NULL, *port = NULL, *user = NULL, *scheme = NULL;
	char want[8];
	bool same;

	if (!parsed)
		return err_set(e, ENOMEM, "url", "out of memory");
	snprintf(want, sizeof(want), "%u", (unsigned)u->port);
	same = !curl_url_set(parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS) &&
	       !curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) &&
	       !curl_url_get(parsed, CURLUPART_HOST, &host, 0) &&
	       !curl_url_get(parsed, CURLUPART_PORT, &port,
			     CURLU_DEFAULT_PORT) &&
	       curl_url_get(parsed, CURLUPART_USER, &user, 0) ==
		       CURLUE_NO_USER &&
	       !strcmp(scheme, u->tls ? "https" : "http") &&
	       !strcmp(port, want);
	if (same && host[0] != '[') /* libcurl shortens IPv6 addresses */
		same = !strcasecmp(host, u->host);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_free(scheme);
	curl_url_cleanup(parsed);
	return same ? 0 : fault(e, "this is not a URL");
}

int http_url_parse(const char *url, struct http_url *out, struct err *e)
{
	struct http_url u = {0};
	const char *rest;
	int err;

	if (strlen(url) > HTTP_CALL_URL_MAX)
		return fault(e, "a URL has at most 2083 bytes, 8192 with what "
				"is put behind it");
	for (const char *p = url; *p; p++) {
		if (*p <= ' ' || *p > '~' || *p == '\\')
			return fault(e, "spaces, '\\', control and non-ASCII "
					"characters must be percent-encoded");
	}
	if (!strncasecmp(url, "https://", 8)) {
		u.tls = true;
		u.port = 443;
		rest = url + 8;
	} else if (!strncasecmp(url, "http://", 7)) {
		u.port = 80;
		rest = url + 7;
	} else {
		return fault(e, "a URL starts with http:// or https://");
	}
	err = authority_parse(rest, strcspn(rest, "/?#"), &u, e);
	if (!err)
		err = cross_check(url, &u, e);
	if (!err)
		*out = u;
	return err;
}

int http_url_check(const char *url, struct err *e)
{
	struct http_url unused;

	if (strlen(url) > HTTP_URL_MAX)
		return fault(e, "a URL has at most 2083 bytes");
	return http_url_parse(url, &unused, e);
}

int http_url_target(const char *url, char *host, size_t cap, uint16_t *port,
		    struct err *e)
{
	struct http_url u = {0};
	int err = http_url_parse(url, &u, e);

	if (err)
		return err;
	if (!str_copy(host, cap, u.host))
		return err_set(e, ERANGE, "url", "the host is too long");
	*port = u.port;
	return 0;
}

int http_url_resolve(const char *base, const char *ref, struct buf *out,
		     struct err *e)
{
	CURLU *parsed = curl_url();
	struct http_url unused;
	char *url = NULL;
	int err = 0;

	if (!parsed)
		return err_no_memory(e);
	if (curl_url_set(parsed, CURLUPART_URL, base, CURLU_PATH_AS_IS) ||
	    curl_url_set(parsed, CURLUPART_URL, ref, CURLU_PATH_AS_IS) ||
	    curl_url_get(parsed, CURLUPART_URL, &url, 0))
		err = fault(e, "this is not a URL");
	else
		err = http_url_parse(url, &unused, e);
	if (!err) {
		buf_puts(out, url);
		err = buf_err(out) ? err_no_memory(e) : 0;
	}
	curl_free(url);
	curl_url_cleanup(parsed);
	return err;
}

bool http_url_is_same_origin(const char *a, const char *b)
{
	struct http_url x = {0}, y = {0};
	struct err unused;

	if (http_url_parse(a, &x, &unused) || http_url_parse(b, &y, &unused))
		return false;
	return x.tls == y.tls && x.port == y.port &&
	       !strcasecmp(x.host, y.host);
}
