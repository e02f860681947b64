/** io/http_local.c -- does a request come from this machine itself? */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

/** "host", "host:port", "[v6]:port" -> is it this machine by name? */
static bool is_loopback_host(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t len = strlen(names[i]);

		if (!strncasecmp(host, names[i], len) &&
		    (host[len] == 0 || host[len] == ':'))
			return true;
	}
	return false;
}

static bool is_loopback_origin(const char *origin)
{
	if (str_starts_with(origin, "http://"))
		return is_loopback_host(origin + strlen("http://"));
	if (str_starts_with(origin, "https://"))
		return is_loopback_host(origin + strlen("https://"));
	return false;
}

const char *http_why_not_local(const struct http_request *r)
{
	static const char *const forwarded[] = {
		"Forwarded",	     "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Real-IP",	"Via"};
	const char *host = http_header(r, "Host");
	const char *origin = http_header(r, "Origin");

	if (!addr_is_loopback(&r->peer))
		return "the request does not come from this machine";
	if (!host || !is_loopback_host(host))
		return "the Host header is not a loopback name";
	if (origin && !is_loopback_origin(origin))
		return "the Origin header is another site's";
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++) {
		if (http_header(r, forwarded[i]))
			return "the request was forwarded by a proxy";
	}
	return NULL;
}
