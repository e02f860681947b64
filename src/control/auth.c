/**
 * control/auth.c -- who may ask.
 *
 * With a token: whoever sends it, or the one before it, or the cookie of a
 * browser that did (session.h).  A cookie is sent by itself, so it counts only
 * when the console's own page asks: the browser says so (Sec-Fetch-Site), or
 * the Origin is the Host.  Without a token: only what comes from loopback,
 * names a loopback host, carries no foreign Origin (a web page) and no
 * forwarding header (a proxy that would let the world in).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/counters.h"
#include "control/call.h"
#include "wire/sig.h"

bool auth_is_token(const struct control *control, const char *token)
{
	uint8_t hash[SIG_SHA256_LEN];
	bool is_one = false;

	if (sig_sha256(token, strlen(token), hash))
		return false;
	/* all of them, so that time does not tell which one it is */
	for (unsigned i = 0; i < control->n_tokens; i++)
		is_one |= sig_is_equal(hash, control->token_hash[i],
				       sizeof(hash));
	return is_one;
}

static bool has_token(const struct call *c)
{
	const char *field = http_header(c->request, "Authorization");

	return field && !strncasecmp(field, "Bearer ", 7) &&
	       auth_is_token(c->control, field + 7);
}

bool auth_is_own_page(const struct http_request *r, bool must_say)
{
	const char *site = http_header(r, "Sec-Fetch-Site");
	const char *origin = http_header(r, "Origin");
	const char *host = http_header(r, "Host");
	const char *name;

	if (site)
		return !strcmp(site, "same-origin") ||
		       (!must_say && !strcmp(site, "none"));
	if (!origin)
		return !must_say;
	name = strstr(origin, "://");
	return name && host && !strcasecmp(name + 3, host);
}

static bool has_session(struct call *c)
{
	const struct http_request *r = c->request;

	return auth_is_own_page(r, strcmp(r->method, "GET") != 0) &&
	       session_use(&c->control->sessions, http_header(r, "Cookie"),
			   clock_now_us());
}

bool auth_is_known(struct call *c)
{
	return has_token(c) || has_session(c);
}

enum usersig_fault auth_check_ticket(const char *key, const char *previous,
				     uint32_t app, const char *user,
				     const char *ticket, struct err *why)
{
	struct usersig_want want = {
		.key = key,
		.sdkappid = app,
		.identifier = user,
		.now_unix_s = clock_unix_ms() / 1000,
	};
	enum usersig_fault fault = usersig_verify(&want, ticket, NULL, why);

	if (fault != USERSIG_WRONG_KEY || !previous)
		return fault;
	want.key = previous;
	return usersig_verify(&want, ticket, NULL, why);
}

bool auth_permits(struct call *c)
{
	const char *why;

	if (c->control->n_tokens) {
		if (auth_is_known(c))
			return true;
		counter_add(COUNT_http_refused, 1);
		c->extra = (struct http_field){"WWW-Authenticate", "Bearer"};
		call_problem(c, 401, "Authorization",
			     http_header(c->request, "Authorization")
				     ? "the Bearer token of Authorization "
				       "is not http.admin_token"
				     : "needs the header `Authorization: "
				       "Bearer <http.admin_token>`");
		return false;
	}
	why = http_why_not_local(c->request);
	if (!why)
		return true;
	counter_add(COUNT_http_refused, 1);
	call_problem(c, 403, "",
		     "%s; without http.admin_token only direct loopback "
		     "requests are answered",
		     why);
	return false;
}
