/** io/http_local.c -- does a request come from this machine itself? */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

/** "host", "host:port", "[v6]:port" -> is it this machine?  Whole, so that
 *  neither "localhost.example.com" nor "localhost:80@example.com" is. */
static bool is_loopback_host(const char *host)
{
	static const char name[] = "localhost";
	const size_t len = sizeof(name) - 1;
	struct addr a;
	int64_t port;

	if (!addr_parse(host, &a))
		return addr_is_loopback(&a);
	if (strncasecmp(host, name, len) != 0)
		return false;
	return !host[len] ||
	       (host[len] == ':' &&
		!str_to_i64(host + len + 1, 1, UINT16_MAX, &port));
}

static bool is_loopback_origin(const char *origin)
{
	if (str_starts_with(origin, "http://"))
		return is_loopback_host(origin + strlen("http://"));
	if (str_starts_with(origin, "https://"))
		return is_loopback_host(origin + strlen("https://"));
	return false;
}

/** Does another site's page want it, without an Origin: as a picture, sound, a
 *  script?  Following a link is fine: the page with the link sees nothing. */
static bool is_embedded(const struct http_request *r)
{
	const char *site = http_header(r, "Sec-Fetch-Site");
	const char *as = http_header(r, "Sec-Fetch-Dest");

	return site && !strcmp(site, "cross-site") &&
	       !(as && !strcmp(as, "document"));
}

const char *http_why_not_local(const struct http_request *r)
{
	static const char *const forwarded[] = {
		"Forwarded",	     "X-Forwarded-For",	 "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
		"X-Real-IP",	     "X-Client-IP",	 "X-Cluster-Client-IP",
		"True-Client-IP",    "CF-Connecting-IP", "Via"};
	const char *host = http_header(r, "Host");
	const char *origin = http_header(r, "Origin");

	if (!addr_is_loopback(&r->peer))
		return "the request does not come from this machine";
	if (!host || !is_loopback_host(host))
		return "the Host header is not a loopback name";
	if (origin && !is_loopback_origin(origin))
		return "the Origin header is another site's";
	if (!origin && is_embedded(r))
		return "another site's page has it in it";
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++) {
		if (http_header(r, forwarded[i]))
			return "the request was forwarded by a proxy";
	}
	return NULL;
}
