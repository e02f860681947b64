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

/** Is this, which stands beside the body, our app?  `where`: what to
 *  say when it is missing, and when it is another's.
 *  Returns 0 or the status to refuse with, as what follows. */
static int check_app(const struct receive *rc, const char *app,
		     const char *const where[2], const char **why)
{
	int64_t value;

	if (!app || str_to_i64(app, 1, UINT32_MAX, &value)) {
		*why = where[0];
		return 400;
	}
	if ((uint32_t)value != rc->config.app) {
		*why = where[1];
		return 403;
	}
	return 0;
}

static int verify_gme(const struct receive *rc, const struct http_request *r,
		      const char **why)
{
	const char *signature = http_header(r, "Signature");

	if (!signature) {
		*why = "the Signature header is missing";
		return 401;
	}
	for (size_t i = 0; i < rc->config.n_keys; i++) {
		if (callback_verify_gme(rc->keys[i], r->body, r->body_len,
					signature))
			return 0;
	}
	*why = rc->config.n_keys
		       ? "the Signature does not match the body with any key"
		       : "there is no key to verify the Signature with: --key";
	return 401;
}

static int verify_trtc(const struct receive *rc, const struct http_request *r,
		       const char **why)
{
	static const char *const where[] = {
		"the SdkAppId header is missing, or no number",
		"the SdkAppId header is another app's"};
	const char *sign = http_header(r, "Sign");
	int status = check_app(rc, http_header(r, "SdkAppId"), where, why);

	if (status)
		return status;
	for (size_t i = 0; sign && i < rc->config.n_keys; i++) {
		if (callback_verify_trtc(rc->keys[i], r->body, r->body_len,
					 sign))
			return 0;
	}
	*why = !sign ? "the Sign header is missing"
	       : rc->config.n_keys
		       ? "the Sign does not match the body with any key"
		       : "there is no key to verify the Sign with: --key";
	return 401;
}

static int verify_standard(const struct receive *rc,
			   const struct http_request *r, const char **why)
{
	const char *id = http_header(r, "webhook-id");
	const char *time = http_header(r, "webhook-timestamp");
	const char *signatures = http_header(r, "webhook-signature");
	int err = EACCES;

	/* The right key at the wrong time needs no other key. */
	for (size_t i = 0; err && err != ETIME && i < rc->config.n_keys; i++)
		err = callback_verify_standard(rc->keys[i], id, time,
					       signatures, r->body, r->body_len,
					       clock_unix_ms());
	*why = !rc->config.n_keys
		       ? "there is no key to verify the signature with: --key"
	       : err == ETIME	? "webhook-timestamp is over 5 minutes away "
				  "from now"
	       : err == EBADMSG ? "webhook-timestamp or webhook-signature is "
				  "missing, or not of its form"
	       : err == ENOMEM	? "out of memory"
				: "the webhook-signature does not match with "
				  "any key";
	return !err ? 0 : err == ENOMEM ? 503 : 401;
}

static int verify_live(const struct receive *rc, const struct http_request *r,
		       const char **why)
{
	static const char *const where[] = {
		"SdkAppid is missing in the URL, or no number",
		"SdkAppid in the URL is another app's"};
	const char *sign = http_query(r, "Sign");
	const char *time = http_query(r, "RequestTime");
	int status = check_app(rc, http_query(r, "SdkAppid"), where, why);
	int err = EACCES;

	if (status)
		return status;
	if (!rc->config.n_keys)
		return 0;
	if (!sign || !time) {
		*why = "Sign or RequestTime is missing in the URL";
		return 401;
	}
	/* The right token at the wrong time needs no other token. */
	for (size_t i = 0; err && err != ETIME && i < rc->config.n_keys; i++)
		err = callback_verify_live(rc->keys[i], sign, time,
					   clock_unix_ms());
	*why = err == ETIME    ? "RequestTime is over 60 s away from now"
	       : err == ENOMEM ? "out of memory"
			       : "Sign does not match RequestTime with any "
				 "token";
	return !err ? 0 : err == ENOMEM ? 503 : 401;
}

static bool recognise(const struct receive *rc, const struct http_request *r,
		      enum dialect *d)
{
	const struct callback_marks marks = {
		.signature = http_header(r, "Signature"),
		.sign = http_header(r, "Sign"),
		.sdk_app_id = http_header(r, "SdkAppId"),
		.webhook_id = http_header(r, "webhook-id"),
		.command = http_query(r, "CallbackCommand"),
	};

	if (!callback_recognise(&marks, d)) {
		if (rc->config.any_dialect)
			return false;
		*d = rc->config.dialect;
	}
	return rc->config.any_dialect || *d == rc->config.dialect;
}

static bool refuse(struct refusal *no, int status, const char *why)
{
	no->status = status;
	str_copy(no->why, sizeof(no->why), why);
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

bool check_request(const struct receive *rc, const struct http_request *r,
		   struct callback *out, struct refusal *no)
{
	static int (*const by_dialect[])(const struct receive *,
					 const struct http_request *,
					 const char **) = {
		[DIALECT_GME] = verify_gme,
		[DIALECT_LIVE] = verify_live,
		[DIALECT_TRTC] = verify_trtc,
		[DIALECT_STANDARD] = verify_standard,
	};
	struct err e = {0};
	const char *why = "";
	enum dialect d;
	int status;
	int err;

	if (!recognise(rc, r, &d))
		return refuse(no, 400,
			      "neither a Signature (gme), SdkAppId (trtc) or "
			      "webhook-id (standard) header nor a "
			      "CallbackCommand in the URL (live), or not the "
			      "dialect that is taken here");
	status = by_dialect[d](rc, r, &why);
	if (status)
		return refuse(no, status, why);
	err = callback_parse(d, r->body, r->body_len, out, &e);
	if (err)
		return refuse(no, err == ENOMEM ? 503 : 400, e.text);
	if (d == DIALECT_LIVE || d == DIALECT_TRTC)
		out->event.app = rc->config.app;
	if (d == DIALECT_STANDARD)
		out->sent_ms = sent_ms(r);
	if (out->event.app != rc->config.app) {
		event_fini(&out->event);
		return refuse(no, 403,
			      d == DIALECT_GME ? "BizID is another app's"
					       : "data.app is another app's");
	}
	return true;
}
