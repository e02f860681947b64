/**
 * control/auth.c -- who may ask.
 *
 * With a token: whoever sends it.  Without: only what comes from loopback,
 * names a loopback host, carries no foreign Origin (a web page) and no
 * forwarding header (a proxy that would let the world in).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "base/counters.h"
#include "base/str.h"
#include "control/call.h"
#include "wire/sig.h"

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

static const char *why_not_local(const struct http_request *r)
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

static bool has_token(const struct call *c)
{
	const char *field = http_header(c->request, "Authorization");
	uint8_t hash[SIG_SHA256_LEN];

	if (!field || strncasecmp(field, "Bearer ", 7))
		return false;
	if (sig_sha256(field + 7, strlen(field + 7), hash))
		return false;
	return sig_is_equal(hash, c->control->token_hash, sizeof(hash));
}

bool auth_permits(struct call *c)
{
	const char *why;

	if (c->control->has_token) {
		if (has_token(c))
			return true;
		counter_add(COUNT_http_refused, 1);
		call_problem(c, 401, "Authorization",
			     "needs the header `Authorization: Bearer "
			     "<http.admin_token>`");
		return false;
	}
	why = why_not_local(c->request);
	if (!why)
		return true;
	counter_add(COUNT_http_refused, 1);
	call_problem(c, 403, "",
		     "%s; without http.admin_token only direct loopback "
		     "requests are answered",
		     why);
	return false;
}
