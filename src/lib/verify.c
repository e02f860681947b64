/** lib/verify.c -- whether a request is genuine. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "lib/inside.h"

/** One request held against one app. */
struct check {
	const struct lib_request *q;
	const struct tapeop_app *app;
	int64_t now_ms;
	enum dialect dialect;
	const struct lib_why *why;
	/* live, decoded */
	char sign[96];
	char request_time[24];
};

/** errno of the verifying functions of wire/, with one key. */
static int try_key(const struct check *c, const char *key)
{
	const struct lib_request *q = c->q;
	const void *body = q->r.body;
	size_t len = q->r.body_len;

	switch (c->dialect) {
	case DIALECT_GME:
		return callback_verify_gme(key, body, len, q->signature)
			       ? 0
			       : EACCES;
	case DIALECT_TRTC:
		return callback_verify_trtc(key, body, len, q->trtc_sign)
			       ? 0
			       : EACCES;
	case DIALECT_LIVE:
		return callback_verify_live(key, c->sign, c->request_time,
					    c->now_ms);
	default:
		return callback_verify_standard(
			key, q->webhook_id, q->webhook_timestamp,
			q->webhook_signature, body, len, c->now_ms);
	}
}

/** What is wrong with signatures, and where to look. */
static const char *mismatch_text(enum dialect d)
{
	switch (d) {
	case DIALECT_GME:
		return "Signature matches the body with no key: is it the "
		       "app's secret_key, or the key of the endpoint, and is "
		       "the body verified as it came, before anything parses "
		       "it?";
	case DIALECT_TRTC:
		return "Sign matches the body with no key: is it the key of "
		       "the endpoint, and is the body verified as it came, "
		       "before anything parses it?";
	case DIALECT_LIVE:
		return "Sign matches RequestTime with no key: is it the token "
		       "that the sender has?";
	default:
		return "webhook-signature matches id, timestamp and body with "
		       "no key: is it the secret of the endpoint, and is the "
		       "body verified as it came, before anything parses it?";
	}
}

/** Is all there that a signature consists of? */
static enum tapeop_error find_signature(struct check *c)
{
	const struct lib_request *q = c->q;
	const char *missing = NULL;
	enum tapeop_error e = TAPEOP_OK;

	switch (c->dialect) {
	case DIALECT_GME:
		missing = q->signature[0] ? NULL : "the header Signature";
		break;
	case DIALECT_TRTC:
		missing = q->trtc_sign[0] ? NULL : "the header Sign";
		break;
	case DIALECT_LIVE:
		e = lib_request_param(q, "Sign", c->sign, sizeof(c->sign),
				      c->why);
		if (!e)
			e = lib_request_param(q, "RequestTime", c->request_time,
					      sizeof(c->request_time), c->why);
		if (!c->sign[0] || !c->request_time[0])
			missing = "Sign or RequestTime in the URL";
		break;
	default:
		if (!q->webhook_id[0] || !q->webhook_timestamp[0] ||
		    !q->webhook_signature[0])
			missing = "one of the headers webhook-id, "
				  "webhook-timestamp and webhook-signature";
	}
	if (e || !missing)
		return e;
	return lib_say(c->why, TAPEOP_UNSIGNED,
		       "%s is missing: does the endpoint of the sender have a "
		       "key?",
		       missing);
}

/** A dialect that nobody named is the stranger's choice, and no fault here;
 *  an app that can take nothing at all is one. */
static enum tapeop_error without_key(const struct tapeop_app *app)
{
	const bool takes_any = app->n_keys || app->flags;

	return app->dialects || !takes_any ? TAPEOP_NO_KEY : TAPEOP_NO_DIALECT;
}

static enum tapeop_error try_keys(const struct check *c)
{
	size_t n_fit = 0;
	int err = EACCES;

	/* The right key at the wrong time needs no other key. */
	for (size_t i = 0; err == EACCES && i < c->app->n_keys; i++) {
		const char *key = c->app->keys[i];

		if (lib_key_fits(c->dialect, key)) {
			err = try_key(c, key);
			n_fit++;
		}
	}
	if (!n_fit)
		return lib_say(c->why, without_key(c->app),
			       "none of the app's %zu keys is one of the "
			       "dialect %s",
			       c->app->n_keys, dialect_name(c->dialect));
	switch (err) {
	case 0:
		return TAPEOP_OK;
	case EBADMSG:
		return lib_say(c->why, TAPEOP_MALFORMED,
			       "the signature or its time is not of the form "
			       "that the dialect %s has",
			       dialect_name(c->dialect));
	case ETIME:
		return lib_say(
			c->why, TAPEOP_WRONG_TIME,
			"signed more than %d s before or after the time here: "
			"it is an old request, or a clock is wrong",
			c->dialect == DIALECT_LIVE
				? CALLBACK_LIVE_AGE_MAX_S
				: CALLBACK_STANDARD_AGE_MAX_S);
	case ENOMEM:
		return lib_say_usual(c->why, TAPEOP_NO_MEMORY);
	default:
		return lib_say(c->why, TAPEOP_BAD_SIGNATURE, "%s",
			       mismatch_text(c->dialect));
	}
}

/** live, trtc: is it this app's, as URL or header say? */
static enum tapeop_error check_claim(const struct check *c)
{
	uint32_t app = 0;
	enum tapeop_error e;

	if (c->dialect != DIALECT_LIVE && c->dialect != DIALECT_TRTC)
		return TAPEOP_OK;
	e = lib_request_app(c->q, c->dialect, &app, c->why);
	if (e)
		return e == TAPEOP_ABSENT ? TAPEOP_MALFORMED : e;
	if (app != c->app->id)
		return lib_say(
			c->why, TAPEOP_WRONG_APP, "%s is %u, this is app %u",
			c->dialect == DIALECT_LIVE ? "SdkAppid" : "SdkAppId",
			app, c->app->id);
	return TAPEOP_OK;
}

static enum tapeop_error check_dialect(struct check *c)
{
	unsigned wanted = c->app->dialects;

	if (!lib_request_dialect(c->q, &c->dialect))
		return lib_say(c->why, TAPEOP_NO_DIALECT,
			       "no CallbackCommand in the URL (live), and no "
			       "header webhook-id (standard), SdkAppId or Sign "
			       "(trtc), or Signature (gme): this is no "
			       "callback");
	if (wanted && !(wanted & TAPEOP_TAKE(lib_dialect_out(c->dialect))))
		return lib_say(c->why, TAPEOP_NO_DIALECT,
			       "this looks like the dialect %s, which "
			       "app.dialects does not have",
			       dialect_name(c->dialect));
	return TAPEOP_OK;
}

/** May it come without a signature? */
static bool may_be_unsigned(const struct check *c)
{
	return !c->app->n_keys && c->app->flags & TAPEOP_TAKE_UNSIGNED &&
	       (c->dialect == DIALECT_LIVE || c->dialect == DIALECT_TRTC);
}

enum tapeop_error lib_verify(const struct lib_request *q,
			     const struct tapeop_app *app, int64_t now_ms,
			     enum dialect *d, bool *verified,
			     const struct lib_why *why)
{
	struct check c = {.q = q, .app = app, .now_ms = now_ms, .why = why};
	enum tapeop_error e;

	*verified = false;
	e = check_dialect(&c);
	*d = c.dialect;
	if (!e)
		e = check_claim(&c);
	if (e || may_be_unsigned(&c))
		return e;
	e = find_signature(&c);
	if (!e)
		e = try_keys(&c);
	*verified = !e;
	return e;
}

enum tapeop_error lib_app_open(const struct tapeop_app *from,
			       struct tapeop_app *to, const struct lib_why *why)
{
	if (!lib_copy_in(to, sizeof(*to), LIB_APP_FIRST, from))
		return lib_say(why, TAPEOP_BAD_ARGUMENT,
			       "app is NULL or its size is wrong: begin with "
			       "TAPEOP_APP_INIT");
	if (!to->id)
		return lib_say(why, TAPEOP_BAD_ARGUMENT,
			       "app.id is 0: it is the number of the app whose "
			       "callbacks are taken");
	if (to->flags & ~(unsigned)TAPEOP_TAKE_UNSIGNED)
		return lib_say(why, TAPEOP_BAD_ARGUMENT,
			       "app.flags has a bit that this library does not "
			       "know");
	if (!to->keys && to->n_keys)
		return lib_say(why, TAPEOP_BAD_ARGUMENT,
			       "app.keys is NULL, app.n_keys is %zu",
			       to->n_keys);
	for (size_t i = 0; i < to->n_keys; i++) {
		if (!to->keys[i])
			return lib_say(why, TAPEOP_BAD_ARGUMENT,
				       "app.keys[%zu] is NULL", i);
	}
	return TAPEOP_OK;
}

enum tapeop_error tapeop_verify(const struct tapeop_request *request,
				const struct tapeop_app *app, int64_t now_ms,
				char *why, size_t why_cap)
{
	const struct lib_why to = {why, why_cap};
	struct tapeop_app a;
	struct lib_request q;
	enum tapeop_error e;
	enum dialect d;
	bool verified;

	e = lib_app_open(app, &a, &to);
	if (!e)
		e = lib_request_open(request, &q, &to);
	if (!e)
		e = lib_verify(&q, &a, now_ms, &d, &verified, &to);
	return e ? e : lib_say_usual(&to, TAPEOP_OK);
}
