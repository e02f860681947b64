/**
 * wire/callback.h -- how an event looks on the wire, in both directions.
 *
 * Pure: bytes in, bytes out.  Sources: the two vendor pages that the formats
 * come from (docs/callbacks.md says which sentence is which).
 *
 *   gme   POST, header `Signature` = HMAC-SHA1(body, SecretKey); body with
 *         BizID, RoomID, UserID, TaskID, RecordMode, Timestamp, EventType,
 *         Detail{SeqNo, FileName} in this order.
 *   live  POST to URL?SdkAppid=..&CallbackCommand=..&contenttype=json
 *         &ClientIP=..&OptPlatform=..[&Sign=..&RequestTime=..]; body with
 *         CallbackCommand, EventGroupId 3, EventType, CallbackTs, EventInfo.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_CALLBACK_H
#define WIRE_CALLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/event.h"

enum dialect { DIALECT_GME, DIALECT_LIVE, DIALECT_N };
enum signature_encoding { SIGNATURE_BASE64, SIGNATURE_HEX };

#define CALLBACK_LIVE_COMMAND "Follow.CallbackAfterCloudRecordingChanged"

const char *dialect_name(enum dialect d);
bool dialect_parse(const char *name, enum dialect *d);

/** Has this dialect a word for this kind of event? */
bool callback_has(enum dialect d, enum event_kind kind);

/** What a callback is rendered with, beside the facts. */
struct callback_style {
	enum dialect dialect;
	enum signature_encoding encoding; /* gme */
	const char *key; /* gme: SecretKey; live: token or "" */
	const char *url; /* the endpoint's */
};

/** A callback as it goes out. */
struct callback_request {
	struct buf url;
	struct buf body;
	struct buf fields; /* "Name: value\n" lines: content type, signature */
};

void callback_request_init(struct callback_request *r);
void callback_request_fini(struct callback_request *r);

/**
 * Render and sign one attempt.
 *
 * now_ms   time of sending: Timestamp, CallbackTs, RequestTime
 *
 * Everything else is byte-identical on every attempt.
 * Returns 0, ENOTSUP (callback_has is false), ENOMEM or EMSGSIZE.
 */
MUST_CHECK int callback_render(const struct callback_style *style,
			       const struct event *e, int64_t now_ms,
			       struct callback_request *out);

/** Just the body (for `sign`, tests and documents). */
MUST_CHECK int callback_write_body(enum dialect d, const struct event *e,
				   int64_t now_ms, struct buf *body);

enum { SIGNATURE_TEXT_MAX = 65 };

/** gme: signature of `body` as text. */
MUST_CHECK int callback_sign_gme(const char *key, const void *body, size_t len,
				 enum signature_encoding encoding,
				 char out[SIGNATURE_TEXT_MAX]);
/** live: Sign = hex(sha256(token + RequestTime)). */
MUST_CHECK int callback_sign_live(const char *token, int64_t request_time_s,
				  char out[SIGNATURE_TEXT_MAX]);

/**
 * gme: is `signature` (base64 or hex, any case) the one of these bytes?
 * Constant time in the comparison.
 */
bool callback_verify_gme(const char *key, const void *body, size_t len,
			 const char *signature);

/** live: right token, and RequestTime within 60 s of now?
 *  Returns 0, EACCES (wrong sign), ETIME (too old or too new), EBADMSG. */
MUST_CHECK int callback_verify_live(const char *token, const char *sign,
				    const char *request_time, int64_t now_ms);

/**
 * Tell the dialect of a request by what its sender must send: a `Signature`
 * header or a BizID key: gme; a `CallbackCommand` query: live.
 * Returns false when it is neither.
 */
bool callback_recognise(const char *signature_header,
			const char *callback_command, enum dialect *d);

/** A callback as read by a receiver. */
struct callback {
	enum dialect dialect;
	struct event event; /* as far as the dialect tells; event.task is 0
			       when the id is not a number */
	char task[128];	    /* the task's id as text */
	int type;	    /* EventType as sent */
	int64_t sent_ms;    /* Timestamp or CallbackTs */
	char key[65];	    /* hex sha256 of what makes it the same event again
			       (signed fields without the time of sending) */
};

/**
 * Read a body.  Unknown extra keys are fine; missing or wrongly typed ones
 * are named in `err`.  Free with event_fini(&out->event).
 * Returns 0, EBADMSG, ENOMEM.
 */
MUST_CHECK int callback_parse(enum dialect d, const void *body, size_t len,
			      struct callback *out, struct err *err);

/** What a receiver answers with success, in this dialect (JSON text). */
const char *callback_answer(enum dialect d);

/**
 * Verdict on an answer of an endpoint with `verdict: body`: JSON with
 * ActionStatus "OK" and ErrorCode 0.  Otherwise false and one line why.
 */
bool callback_answer_is_ok(const void *body, size_t len, char *why, size_t cap);

#endif
