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
 *   trtc  POST, headers `SdkAppId` and, with a key, `Sign` =
 *         base64(HMAC-SHA256(key, body)); body as live's without
 *         CallbackCommand.
 *   standard  POST, headers `webhook-id`, `webhook-timestamp`,
 *         `webhook-signature` (Standard Webhooks 1.0); body with type,
 *         timestamp and data, which tells all that is known.
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

enum dialect {
	DIALECT_GME,
	DIALECT_LIVE,
	DIALECT_TRTC,
	DIALECT_STANDARD,
	DIALECT_N
};
enum signature_encoding { SIGNATURE_BASE64, SIGNATURE_HEX };

#define CALLBACK_LIVE_COMMAND "Follow.CallbackAfterCloudRecordingChanged"

/** "gme", "live", "trtc", "standard". */
const char *dialect_name(enum dialect d);
/** Name -> dialect; false when unknown. */
bool dialect_parse(const char *name, enum dialect *d);

/** Has this dialect a word for this kind of event? */
bool callback_has(enum dialect d, enum event_kind kind);

/** What a callback is rendered with, beside the facts. */
struct callback_style {
	enum dialect dialect;
	enum signature_encoding encoding; /* gme */
	const char *key; /* gme: SecretKey; live: token or ""; trtc: key or
			    ""; standard: see callback_key_check */
	const char *previous_key; /* standard: signs too, "" or NULL: none */
	const char *url;	  /* the endpoint's */
	bool extended; /* gme, live, trtc: "Extended" with standard's data
			  behind the body's own members */
};

enum {
	CALLBACK_URL_MAX = 8192,      /* [bytes] */
	CALLBACK_BODY_MAX = 1U << 20, /* EVENT_FILES_MAX files always fit */
	CALLBACK_FIELDS_MAX = 1024
};

/** A callback as it goes out. */
struct callback_request {
	struct buf url;
	struct buf body;
	struct buf fields; /* "Name: value\n" lines: content type, signature */
};

/** Make it empty.  Allocates nothing. */
void callback_request_init(struct callback_request *r);
/** Free what it holds; it is empty and usable again. */
void callback_request_fini(struct callback_request *r);

/**
 * Render and sign one attempt.
 *
 * now_ms   time of sending: Timestamp, CallbackTs, RequestTime
 * out      from callback_request_init(); what it held is replaced
 *
 * live: the parameters go behind the query that the URL has (before its
 * fragment); no client_ip is "127.0.0.1", no platform "Unknown".
 * Everything else is byte-identical on every attempt.
 * Returns 0, ENOTSUP (callback_has is false), ENOMEM or EMSGSIZE; on
 * failure `out` holds nothing to be sent.
 */
MUST_CHECK int callback_render(const struct callback_style *style,
			       const struct event *e, int64_t now_ms,
			       struct callback_request *out);

/** Just the body, appended, not extended (for `sign`, tests and documents).
 *  Returns 0, ENOTSUP, ENOMEM or EMSGSIZE. */
MUST_CHECK int callback_write_body(enum dialect d, const struct event *e,
				   int64_t now_ms, struct buf *body);

/** standard's "data": all that is known of an event as one JSON object,
 *  appended.  What is not known is left out.  Check buf_err. */
void callback_write_data(const struct event *e, struct buf *out);

/** standard's name of a kind: "segment.started"; "" for EVENT_KIND_N. */
const char *callback_type_name(enum event_kind kind);

/** How a callback proves who sent it: what is signed, and how. */
struct callback_proof {
	const char *algorithm; /* "HMAC-SHA1", ..; NULL: it is not signed */
	const char *over;      /* what the bytes of `base` are */
	const char *where;     /* "header Signature", .. */
	struct buf base;       /* byte for byte, but for the key */
	struct buf value;      /* what stands there */
};
/** Make it empty.  Allocates nothing. */
void callback_proof_init(struct callback_proof *p);
void callback_proof_fini(struct callback_proof *p);

/**
 * Say how a rendered request is signed: by the very bytes of it.
 *
 * style  that it was rendered with
 * out    from callback_proof_init()
 *
 * Returns 0 or ENOMEM.
 */
MUST_CHECK int callback_prove(const struct callback_style *style,
			      const struct callback_request *r,
			      struct callback_proof *out);

enum { SIGNATURE_TEXT_MAX = 65, CALLBACK_STANDARD_SIGNATURE_MAX = 96 };

/**
 * Can this key be used in this dialect?
 *
 * standard wants "whsec_" and the base64 of 24 to 64 bytes (HMAC-SHA256, v1);
 * or of Ed25519 (v1a) "whsk_" and the base64 of a seed (32 bytes) or of seed
 * and public key (64), or "whpk_" and that of a public key (32), which
 * verifies only.  The others take any text.
 * Source: Standard Webhooks 1.0, "Signature scheme".
 * Returns 0, or EINVAL with `err` (field "key", which its text does not repeat)
 * saying what to do.
 */
MUST_CHECK int callback_key_check(enum dialect d, const char *key,
				  struct err *err);

/** Can this key of `standard` sign (it is no whpk_)? */
bool callback_key_signs(const char *key);

/** gme: signature of `body` as text.  Returns 0 or ENOMEM. */
MUST_CHECK int callback_sign_gme(const char *key, const void *body, size_t len,
				 enum signature_encoding encoding,
				 char out[SIGNATURE_TEXT_MAX]);
/** live: Sign = hex(sha256(token + RequestTime)).  Returns 0 or ENOMEM. */
MUST_CHECK int callback_sign_live(const char *token, int64_t request_time_s,
				  char out[SIGNATURE_TEXT_MAX]);

/** trtc: Sign = base64(HMAC-SHA256(key, body)).  Returns 0 or ENOMEM. */
MUST_CHECK int callback_sign_trtc(const char *key, const void *body, size_t len,
				  char out[SIGNATURE_TEXT_MAX]);
/**
 * standard: "v1,<base64>" or "v1a,<base64>" of "id.timestamp.body".
 * Returns 0, EINVAL (no key of callback_key_check that signs) or ENOMEM.
 */
MUST_CHECK int callback_sign_standard(
	const char *key, const char *id, int64_t timestamp_s, const void *body,
	size_t len, char out[CALLBACK_STANDARD_SIGNATURE_MAX]);

/**
 * gme: is `signature` (base64, or hex of any case) the one of these bytes?
 * Constant time in the comparison.  Never with an empty key, nor with a public
 * one (whpk_), which anybody could sign with; so it is for trtc and live.
 */
bool callback_verify_gme(const char *key, const void *body, size_t len,
			 const char *signature);

/** trtc: is `sign` the one of these bytes?  Otherwise as
 *  callback_verify_gme. */
bool callback_verify_trtc(const char *key, const void *body, size_t len,
			  const char *sign);

/** How far webhook-timestamp may be from the receiver's clock [s]. */
enum { CALLBACK_STANDARD_AGE_MAX_S = 300 };

/**
 * standard: is one of the signatures the one of this key, and the timestamp
 * within 5 minutes of now?
 *
 * id, timestamp, signatures   the headers as received, NULL when absent;
 *                             signatures are apart by spaces
 *
 * Returns 0, EBADMSG (absent or not of their form), EACCES (none is this
 * key's; a wrong key never verifies), ETIME (right, but too old or too new),
 * ENOMEM.
 */
MUST_CHECK int callback_verify_standard(const char *key, const char *id,
					const char *timestamp,
					const char *signatures,
					const void *body, size_t len,
					int64_t now_ms);

/** How far RequestTime may be from the receiver's clock [s]. */
enum { CALLBACK_LIVE_AGE_MAX_S = 60 };

/**
 * live: right token, and RequestTime within 60 s of now?
 *
 * sign, request_time   the parameters as received, NULL when absent
 *
 * Returns 0, EBADMSG (absent or not of their form), EACCES (wrong sign; an
 * empty token never verifies), ETIME (right, but too old or too new), ENOMEM.
 */
MUST_CHECK int callback_verify_live(const char *token, const char *sign,
				    const char *request_time, int64_t now_ms);

/** What a dialect is told by: headers and a query, NULL when absent. */
struct callback_marks {
	const char *signature;	/* header Signature */
	const char *sign;	/* header Sign */
	const char *sdk_app_id; /* header SdkAppId */
	const char *webhook_id; /* header webhook-id */
	const char *command;	/* query CallbackCommand */
};

/**
 * Tell the dialect of a request by what its sender must send: a
 * `CallbackCommand` query: live; else a `webhook-id`: standard; else
 * `SdkAppId` or `Sign`: trtc; else a `Signature` header: gme (which is also
 * the name of an unrelated header, RFC 9421, so it comes last).
 * Empty ones do not count.  Returns false when it is none of them.
 *
 * The sender chooses: whoever lets a dialect be recognised must refuse the
 * one that it has no key for.
 */
bool callback_recognise(const struct callback_marks *m, enum dialect *d);

/** A callback as read by a receiver. */
struct callback {
	enum dialect dialect;
	struct event event; /* as far as the dialect tells; event.task is 0
			       when the id is not a number.  gme does not tell
			       unix_ms; live and trtc tell their app in URL
			       and header only */
	char task[128];	    /* the task's id as text */
	int type;	    /* EventType as sent; standard: 0 */
	bool has_seq;	    /* event.seq was told; live and trtc do not */
	int64_t sent_ms;    /* Timestamp or CallbackTs; standard: 0, the
			       header tells */
	char key[65];	    /* hex sha256 of what makes it the same event again
			       (signed fields without the time of sending);
			       live and trtc: within one app */
};

/**
 * Read a body.  Unknown extra keys are fine; missing or wrongly typed ones
 * are named in `err`.  Free with event_fini(&out->event).
 *
 * live, trtc: other senders use the types 304, 306, 309, 311 and 312 too;
 * they are read with event.kind EVENT_KIND_N, and their Payload is not looked
 * at.  EventTs, RoomId and the times of files may be numbers or strings: the
 * vendor's own samples differ.  Of 305 either Status or LeaveCode is taken.
 * 307 is read as a segment that has started: its user is the Payload's, "0"
 * for the mix; 308 as one whose upload fails.
 * standard: a type that we have no word for is read with EVENT_KIND_N.
 *
 * Returns 0, EBADMSG, ENOMEM; on failure *out owns nothing.
 */
MUST_CHECK int callback_parse(enum dialect d, const void *body, size_t len,
			      struct callback *out, struct err *err);

/** What a receiver answers with success, in this dialect (JSON text). */
const char *callback_answer(enum dialect d);

/**
 * Verdict on an answer of an endpoint with `verdict: body`: JSON with
 * ActionStatus "OK" and ErrorCode 0.  Otherwise false and one line why
 * (`cap` bytes at most, with its NUL; what it quotes is made harmless).
 */
bool callback_answer_is_ok(const void *body, size_t len, char *why, size_t cap);

#endif
