/**
 * control/auth.c -- who may ask.
 *
 * With a token: whoever sends it, or the one before it.  Without: only what
 * comes from loopback, names a loopback host, carries no foreign Origin (a web
 * page) and no forwarding header (a proxy that would let the world in).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/counters.h"
#include "control/call.h"
#include "wire/sig.h"

bool auth_has_token(const struct call *c)
{
	const char *field = http_header(c->request, "Authorization");
	uint8_t hash[SIG_SHA256_LEN];
	bool is_one = false;

	if (!field || strncasecmp(field, "Bearer ", 7))
		return false;
	if (sig_sha256(field + 7, strlen(field + 7), hash))
		return false;
	/* all of them, so that time does not tell which one it is */
	for (unsigned i = 0; i < c->control->n_tokens; i++)
		is_one |= sig_is_equal(hash, c->control->token_hash[i],
				       sizeof(hash));
	return is_one;
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
		if (auth_has_token(c))
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
