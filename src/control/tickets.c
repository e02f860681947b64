/** control/tickets.c -- tickets with which users come in (UserSig), made for
 *  whoever may ask the API: the console, or a backend that has no library. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "control/call.h"
#include "control/cloud.h"
#include "wire/usersig.h"

enum { EXPIRES_S = 24 * 3600, EXPIRES_MAX_S = 180 * 24 * 3600 };

static void reply_ticket(struct call *c, const struct usersig *u,
			 const struct app_key *key)
{
	struct err e = {0};
	struct buf text;

	buf_init_secret(&text, USERSIG_TEXT_MAX);
	e.code = usersig_make(u, key->key, &text);
	if (e.code)
		call_error(c, &e);
	else
		call_reply(c, 201,
			   json_pack("{s:s, s:s, s:I}", "ticket",
				     buf_str(&text), "user", u->identifier,
				     "expires_ms",
				     (json_int_t)(u->time_s + u->expire_s) *
					     1000));
	buf_fini(&text);
}

void tickets_make(struct call *c)
{
	static const char *const keys[] = {"user", "expires_s", NULL};
	int64_t expires_s = EXPIRES_S;
	const struct app_key *key;
	struct usersig u = {.time_s = clock_unix_ms() / 1000};
	const char *user;
	uint32_t app;

	if (!call_app(c, c->parts[0], &app) || !call_keys(c, keys) ||
	    !call_name_field(c, "user", &user) ||
	    !call_integer(c, "expires_s", 1, EXPIRES_MAX_S, &expires_s))
		return;
	key = app_key_find(c->control->keys, app);
	if (!key || !key->key) {
		call_problem(c, 409, "app",
			     "app %" PRIu32 " has no secret_key to make "
			     "tickets with",
			     app);
		return;
	}
	if (!str_copy(u.identifier, sizeof(u.identifier), user)) {
		call_problem(c, 400, "user",
			     "user: a ticket has room for %d bytes",
			     USERSIG_IDENTIFIER_MAX);
		return;
	}
	u.sdkappid = app;
	u.expire_s = expires_s;
	reply_ticket(c, &u, key);
}
