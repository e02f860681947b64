/**
 * receive/check.c -- is a callback genuine, for this app, and what does it
 * say?
 *
 * The bytes are verified as they came, before anything reads them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "receive/private.h"

/**
 * How much is hashed for a body that nobody's key fits [bytes]: enough for every
 * key when it is small, as callbacks are.  Beyond that one which is signed for
 * another app is a 401, not a 403.
 */
enum { HASHED_MAX = 8 << 20 };

/* ---- keys ----------------------------------------------------------------------- */

static bool takes(const struct receive_app *a, enum dialect d)
{
	return a->dialects & 1U << d;
}

/** What must be there to be verified; NULL: it is all there. */
static const char *find_missing(enum dialect d, const struct http_request *r)
{
	switch (d) {
	case DIALECT_GME:
		return http_header(r, "Signature")
			       ? NULL
			       : "the Signature header is missing";
	case DIALECT_TRTC:
		return http_header(r, "Sign") ? NULL
					      : "the Sign header is missing";
	case DIALECT_LIVE:
		return http_query(r, "Sign") && http_query(r, "RequestTime")
			       ? NULL
			       : "Sign or RequestTime is missing in the URL";
	default:
		return NULL; /* verifying says so */
	}
}

/** Returns 0, or EACCES, EBADMSG, ETIME, ENOMEM. */
static int verify_with(enum dialect d, const char *key,
		       const struct http_request *r)
{
	switch (d) {
	case DIALECT_GME:
		return callback_verify_gme(key, r->body, r->body_len,
					   http_header(r, "Signature"))
			       ? 0
			       : EACCES;
	case DIALECT_TRTC:
		return callback_verify_trtc(key, r->body, r->body_len,
					    http_header(r, "Sign"))
			       ? 0
			       : EACCES;
	case DIALECT_LIVE:
		return callback_verify_live(key, http_query(r, "Sign"),
					    http_query(r, "RequestTime"),
					    clock_unix_ms());
	default:
		return callback_verify_standard(
			key, http_header(r, "webhook-id"),
			http_header(r, "webhook-timestamp"),
			http_header(r, "webhook-signature"), r->body,
			r->body_len, clock_unix_ms());
	}
}

/** Does a key of this app verify it?  Returns 0, ENOKEY (it has none for this
 *  dialect), or what the last one said. */
static int verify_by(const struct receive_app *a, enum dialect d,
		     const struct http_request *r)
{
	int err = ENOKEY;

	/* The right key at the wrong time needs no other key. */
	for (size_t i = 0; err && err != ETIME && i < a->n_keys; i++) {
		if (a->keys[i].dialects & 1U << d)
			err = verify_with(d, a->keys[i].secret, r);
	}
	return err;
}

/** Why no key verified it; there are some. */
static const char *say_unverified(enum dialect d, int err)
{
	static const char *const wrong_key[] = {
		[DIALECT_GME] = "the Signature does not match the body with "
				"any key",
		[DIALECT_LIVE] = "Sign does not match RequestTime with any "
				 "token",
		[DIALECT_TRTC] = "the Sign does not match the body with any "
				 "key",
		[DIALECT_STANDARD] = "the webhook-signature does not match "
				     "with any key",
	};

	if (err == ENOMEM)
		return "out of memory";
	if (err == ETIME)
		return d == DIALECT_LIVE
			       ? "RequestTime is over 60 s away from now"
			       : "webhook-timestamp is over 5 minutes away "
				 "from now";
	if (err == EBADMSG && d == DIALECT_STANDARD)
		return "webhook-timestamp or webhook-signature is missing, or "
		       "not of its form";
	return wrong_key[d];
}

/* ---- whose is it? ------------------------------------------------------------------ */

static bool refuse(struct refusal *no, int status, const char *why)
{
	no->status = status;
	str_copy(no->why, sizeof(no->why), why);
	return false;
}

/** n_apps   whose keys were tried */
static bool refuse_unverified(struct refusal *no, enum dialect d, int err,
			      size_t n_apps)
{
	char why[REFUSAL_WHY_MAX];

	if (err != ENOKEY)
		return refuse(no, err == ENOMEM ? 503 : 401,
			      say_unverified(d, err));
	/* The sender reads it, too: no options or settings of ours. */
	snprintf(why, sizeof(why), "%s for the dialect %s",
		 n_apps == 1 ? "this app has no key" : "no app has a key",
		 dialect_name(d));
	return refuse(no, 401, why);
}

static bool is_beside(enum dialect d)
{
	return d == DIALECT_LIVE || d == DIALECT_TRTC;
}

/** Where live and trtc name their app; NULL: nowhere. */
static const char *app_beside(enum dialect d, const struct http_request *r)
{
	return d == DIALECT_LIVE ? http_query(r, "SdkAppid")
				 : http_header(r, "SdkAppId");
}

/** live and trtc: the app stands beside the body, and is not signed: its keys
 *  are the ones that must verify it. */
static bool check_beside(const struct apps *apps, enum dialect d,
			 const struct http_request *r,
			 const struct receive_app **out, struct refusal *no)
{
	const bool live = d == DIALECT_LIVE;
	const char *missing = find_missing(d, r);
	const struct receive_app *a;
	int err;

	if (!no->app)
		return refuse(no, 400,
			      live ? "SdkAppid is missing in the URL, or no "
				     "number"
				   : "the SdkAppId header is missing, or no "
				     "number");
	a = apps_find(apps, no->app);
	if (!a)
		return refuse(no, 403,
			      live ? "SdkAppid in the URL is another app's"
				   : "the SdkAppId header is another app's");
	*out = a;
	if (!takes(a, d))
		return refuse(no, 403, "this app does not take this dialect");
	if (missing) {
		if (live && a->unsigned_live)
			return true;
		return refuse(no, 401, missing);
	}
	err = verify_by(a, d, r);
	if (err == ENOKEY && live && a->unsigned_live)
		return true;
	return err ? refuse_unverified(no, d, err, 1) : true;
}

/** The app that a body seems to name, 0: none. */
static uint64_t find_id(enum dialect d, const struct http_request *r)
{
	const char *name = d == DIALECT_GME ? "\"BizID\":" : "\"app\":";
	const char *p = memmem(r->body, r->body_len, name, strlen(name));
	const char *end = (const char *)r->body + r->body_len;
	uint64_t id = 0;

	if (!p)
		return 0;
	for (p += strlen(name); p < end && *p == ' '; p++)
		;
	for (; p < end && *p >= '0' && *p <= '9' && id <= UINT32_MAX; p++)
		id = id * 10 + (uint64_t)(*p - '0');
	return id;
}

/** The app that a callback claims to be of, 0: none.  Nothing has verified
 *  it. */
static uint32_t claimed_app(enum dialect d, const struct http_request *r)
{
	const char *text;
	uint64_t in_body;
	int64_t id = 0;

	if (is_beside(d)) {
		text = app_beside(d, r);
		if (!text || str_to_i64(text, 1, UINT32_MAX, &id))
			return 0;
		return (uint32_t)id;
	}
	in_body = find_id(d, r);
	return in_body <= UINT32_MAX ? (uint32_t)in_body : 0;
}

/** gme and standard: some key must have signed the body, before anything reads
 *  in it whose it is. */
static bool check_body(const struct apps *apps, enum dialect d,
		       const struct http_request *r,
		       const struct receive_app **out, struct refusal *no)
{
	const char *missing = find_missing(d, r);
	/* whose keys are tried first, and no more than that */
	const struct receive_app *claimed = apps_find(apps, no->app);
	const size_t first = claimed ? (size_t)(claimed - apps->list) : 0;
	size_t hashed = 0;
	int worst = ENOKEY;

	if (missing)
		return refuse(no, 401, missing);
	for (size_t i = 0; i < apps->n && hashed <= HASHED_MAX; i++) {
		const struct receive_app *a =
			&apps->list[(first + i) % apps->n];
		int err = takes(a, d) ? verify_by(a, d, r) : ENOKEY;

		if (!err) {
			*out = a;
			return true;
		}
		hashed += a->n_keys * r->body_len;
		if (worst == ENOKEY || err == ETIME || err == ENOMEM)
			worst = err;
	}
	return refuse_unverified(no, d, worst, apps->n);
}

/** The app that the signed body names must have a key that signed it, too.
 *  by   an app whose key did */
static bool check_named(const struct apps *apps, enum dialect d,
			const struct http_request *r, uint32_t named,
			const struct receive_app *by, struct refusal *no)
{
	const struct receive_app *a = apps_find(apps, named);
	int err;

	if (a == by)
		return true;
	err = a && takes(a, d) ? verify_by(a, d, r) : EACCES;
	if (!err)
		return true;
	if (err == ENOMEM)
		return refuse_unverified(no, d, err, 1);
	return refuse(no, 403,
		      d == DIALECT_GME ? "BizID is another app's"
				       : "data.app is another app's");
}

/* ---- what two readers could read differently -------------------------------------- */

/** Parameters that say whose a callback is; a bit each of those seen. */
static int on_param(const char *name, const char *value, void *arg)
{
	static const char *const once[] = {"SdkAppid", "CallbackCommand",
					   "Sign", "RequestTime"};
	unsigned *seen = arg;

	(void)value;
	for (unsigned i = 0; i < ARRAY_LEN(once); i++) {
		if (strcmp(name, once[i]) != 0)
			continue;
		if (*seen & 1U << i)
			return EEXIST;
		*seen |= 1U << i;
	}
	return 0;
}

static bool is_plain(const struct http_request *r, struct refusal *no)
{
	static const char *const fields[] = {
		"Signature",	     "Sign",
		"SdkAppId",	     "webhook-id",
		"webhook-timestamp", "webhook-signature"};
	unsigned seen = 0;

	if (http_query_each(r, on_param, &seen))
		return refuse(no, 400,
			      "SdkAppid, CallbackCommand, Sign or RequestTime "
			      "is in the URL twice");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *value = http_header(r, fields[i]);

		if (value && !str_is_clean_utf8(value, strlen(value)))
			return refuse(no, 400,
				      "a header of the signature is not text");
	}
	return true;
}

/* ---- the whole -------------------------------------------------------------------- */

static bool recognise(const struct apps *apps, const struct http_request *r,
		      enum dialect *d)
{
	const struct callback_marks marks = {
		.signature = http_header(r, "Signature"),
		.sign = http_header(r, "Sign"),
		.sdk_app_id = http_header(r, "SdkAppId"),
		.webhook_id = http_header(r, "webhook-id"),
		.command = http_query(r, "CallbackCommand"),
	};

	if (callback_recognise(&marks, d))
		return apps->dialects & 1U << *d;
	/* Where only one is taken it is that one. */
	for (unsigned i = 0; i < DIALECT_N; i++) {
		*d = (enum dialect)i;
		if (apps->dialects == 1U << i)
			return true;
	}
	return false;
}

/** Of standard only the header tells; it was verified. */
static int64_t sent_ms(const struct http_request *r)
{
	const char *text = http_header(r, "webhook-timestamp");
	int64_t s = 0;

	if (!text || str_to_i64(text, 0, CLOCK_UNIX_S_MAX, &s))
		return 0;
	return s * 1000;
}

bool check_request(const struct apps *apps, const struct http_request *r,
		   struct callback *out, struct refusal *no)
{
	const struct receive_app *app = NULL;
	struct err e = {0};
	bool beside;
	enum dialect d;
	int err;

	*no = (struct refusal){.status = 0};
	if (!is_plain(r, no))
		return false;
	if (!recognise(apps, r, &d))
		return refuse(no, 400,
			      "neither a Signature (gme), SdkAppId (trtc) or "
			      "webhook-id (standard) header nor a "
			      "CallbackCommand in the URL (live), or not the "
			      "dialect that is taken here");
	no->dialect = dialect_name(d);
	no->app = claimed_app(d, r);
	beside = is_beside(d);
	if (!(beside ? check_beside : check_body)(apps, d, r, &app, no))
		return false;
	err = callback_parse(d, r->body, r->body_len, out, &e);
	if (err)
		return refuse(no, err == ENOMEM ? 503 : 400, e.text);
	if (beside)
		out->event.app = app->id;
	if (d == DIALECT_STANDARD)
		out->sent_ms = sent_ms(r);
	if (beside || check_named(apps, d, r, out->event.app, app, no))
		return true;
	event_fini(&out->event);
	return false;
}
