/**
 * receive/resign.c -- signatures that are only good for a while, made anew
 * when a callback is sent on.
 *
 * WHY   live's Sign is good for 60 s, standard's for 5 minutes.  A target that
 *       was away for longer would refuse what is sent to it afterwards.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "receive/private.h"

static bool is_for(const struct receive_key *k, enum dialect d)
{
	return k->dialects & 1U << d;
}

/* ---- live ----------------------------------------------------------------------- */

enum { VALUE_MAX = 80 };

/** The first value of a name in a query as it is stored; false: none, or it is
 *  longer than any that is right. */
static bool find_value(const char *query, const char *name, char out[VALUE_MAX])
{
	const size_t len = strlen(name);

	while (*query) {
		const size_t n = strcspn(query, "&");

		if (n > len && query[len] == '=' && !memcmp(query, name, len)) {
			if (n - len - 1 >= VALUE_MAX)
				return false;
			memcpy(out, query + len + 1, n - len - 1);
			out[n - len - 1] = '\0';
			return true;
		}
		query += n + (query[n] == '&');
	}
	return false;
}

/** Can a key be a token?  One of standard's form that may be for anything is
 *  none. */
static bool may_be_token(const struct receive_key *k)
{
	struct err unused;

	if (!is_for(k, DIALECT_LIVE))
		return false;
	return k->dialects == 1U << DIALECT_LIVE ||
	       callback_key_check(DIALECT_STANDARD, k->secret, &unused);
}

/** The token that this was signed with, else the first one; NULL: none. */
static const char *find_token(const struct receive_app *app, const char *sign,
			      const char *time, int64_t time_s)
{
	for (size_t i = 0; i < app->n_keys; i++) {
		if (is_for(&app->keys[i], DIALECT_LIVE) &&
		    !callback_verify_live(app->keys[i].secret, sign, time,
					  time_s * 1000))
			return app->keys[i].secret;
	}
	for (size_t i = 0; i < app->n_keys; i++) {
		if (may_be_token(&app->keys[i]))
			return app->keys[i].secret;
	}
	return NULL;
}

/** The query, with other values of Sign and RequestTime. */
static void write_query(const char *query, const char *sign, int64_t time_s,
			struct buf *out)
{
	static const char sign_is[] = "Sign=", time_is[] = "RequestTime=";
	const char *and = "";

	while (*query) {
		const size_t n = strcspn(query, "&");

		buf_puts(out, and);
		if (str_starts_with(query, sign_is))
			buf_printf(out, "%s%s", sign_is, sign);
		else if (str_starts_with(query, time_is))
			buf_printf(out, "%s%" PRId64, time_is, time_s);
		else
			buf_append(out, query, n);
		and = "&";
		query += n + (query[n] == '&');
	}
}

int resign_live(const struct receive_app *app, const char *query,
		int64_t now_ms, struct buf *out)
{
	char sign[VALUE_MAX], time[VALUE_MAX], fresh[SIGNATURE_TEXT_MAX];
	const char *token = NULL;
	int64_t time_s;
	int err;

	if (find_value(query, "Sign", sign) &&
	    find_value(query, "RequestTime", time) &&
	    !str_to_i64(time, 0, CLOCK_UNIX_S_MAX, &time_s))
		token = find_token(app, sign, time, time_s);
	if (!token) {
		buf_puts(out, query);
		return 0;
	}
	err = callback_sign_live(token, now_ms / 1000, fresh);
	if (!err)
		write_query(query, fresh, now_ms / 1000, out);
	return err;
}

/* ---- standard --------------------------------------------------------------------- */

/** What is to be signed. */
struct message {
	const char *id, *timestamp, *signature, *body;
	int64_t sent_s, now_s;
};

static int verify(const struct message *m, const char *key)
{
	return callback_verify_standard(key, m->id, m->timestamp, m->signature,
					m->body, strlen(m->body),
					m->sent_s * 1000);
}

/** Append a signature. */
static int add_signature(const struct message *m, const char *key,
			 struct resigned *out)
{
	char one[CALLBACK_STANDARD_SIGNATURE_MAX];
	const size_t len = strlen(out->signature);
	int err = callback_sign_standard(key, m->id, m->now_s, m->body,
					 strlen(m->body), one);

	if (!err)
		snprintf(out->signature + len, sizeof(out->signature) - len,
			 "%s%s", len ? " " : "", one);
	return err;
}

/** Sign with each secret that it was signed with.  *verified: some key did. */
static int sign_as_before(const struct receive_app *app,
			  const struct message *m, bool *verified,
			  struct resigned *out)
{
	int err = 0;

	for (size_t i = 0; i < app->n_keys && !err; i++) {
		const struct receive_key *k = &app->keys[i];

		if (!is_for(k, DIALECT_STANDARD))
			continue;
		err = verify(m, k->secret);
		*verified |= !err;
		if (!err && callback_key_signs(k->secret))
			err = add_signature(m, k->secret, out);
		if (err != ENOMEM)
			err = 0;
	}
	return err;
}

static int sign_with_first(const struct receive_app *app,
			   const struct message *m, struct resigned *out)
{
	for (size_t i = 0; i < app->n_keys; i++) {
		const struct receive_key *k = &app->keys[i];

		if (is_for(k, DIALECT_STANDARD) &&
		    callback_key_signs(k->secret))
			return add_signature(m, k->secret, out);
	}
	return 0;
}

int resign_standard(const struct receive_app *app, const char *id,
		    const char *timestamp, const char *signature,
		    const char *body, int64_t now_ms, struct resigned *out)
{
	struct message m = {.id = id,
			    .timestamp = timestamp,
			    .signature = signature,
			    .body = body,
			    .now_s = now_ms / 1000};
	bool verified = false;
	int err;

	*out = (struct resigned){0};
	if (!id || !timestamp || !signature ||
	    str_to_i64(timestamp, 0, CLOCK_UNIX_S_MAX, &m.sent_s))
		return ENOKEY;
	snprintf(out->timestamp, sizeof(out->timestamp), "%" PRId64, m.now_s);
	err = sign_as_before(app, &m, &verified, out);
	if (!err && !verified)
		err = sign_with_first(app, &m, out);
	if (!err && !out->signature[0])
		err = ENOKEY;
	return err;
}
