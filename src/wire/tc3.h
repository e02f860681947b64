/**
 * wire/tc3.h -- signatures of requests to the Tencent Cloud API, for a server:
 * v3 (TC3-HMAC-SHA256) in headers, v1 (HmacSHA1, HmacSHA256) in parameters.
 *
 * WHAT   tc3_parse() reads what a request says of its signature; the caller
 *        looks up the key of `secret_id` and whether `service` is one that it
 *        serves; tc3_verify() then checks the time and the signature.  v1 the
 *        same way.
 *
 * WHY    A server that stands in for the API must take what the vendor's SDKs
 *        send, and they differ from the text and among themselves: they sign
 *        header values as they are, the text wants lower case; node signs the
 *        host without its port, python with it.  All four are tried.
 *
 * LIMITS The vendor's SDKs sign no more headers than content-type and host:
 *        X-TC-Action and X-TC-Version are then not covered.  Neither version
 *        stops a request from being sent again within the time window.  So
 *        where the network is not trusted, TLS is needed.
 *
 *        In v1 the SDK for python signs '_' in a name as '.'; no parameter of
 *        ours has one, and such a request is refused.
 *
 * Source: "Signature v3" (tencentcloud.com/document/api/1005/34678), "Signature
 * v1" and "Common Error Codes" of Tencent Cloud API 3.0, and the code of
 * tencentcloud-sdk-python and -nodejs.
 *
 * Nothing is kept; what is derived from a key is wiped.  Thread: any.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_TC3_H
#define WIRE_TC3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "wire/sig.h"

enum {
	TC3_WINDOW_S = 300, /* "cannot differ by more than five minutes" */
	TC3_SECRET_ID_MAX = 127,
	TC3_SERVICE_MAX = 63,
	TC3_SIGNED_HEADERS_MAX = 511, /* the whole list [bytes] */
	TC3_AUTHORIZATION_MAX = 2047,
	TC3_DATE_LEN = 10, /* "2019-02-25" */
	TC3_TIMESTAMP_MAX = 20,
	TC3_PARAMETERS_MAX = 512,
	TC3_V1_SIGNATURE_CAP = SIG_BASE64_CAP(SIG_SHA256_LEN)
};

/** Why a request is not taken; each has its code and sentence below. */
enum tc3_fault {
	TC3_OK,
	/* the Authorization header of v3 */
	TC3_AUTHORIZATION_MISSING,
	TC3_AUTHORIZATION_TOO_LONG,
	TC3_ALGORITHM_UNKNOWN, /* also "SKIP" of the SDKs */
	TC3_PART_UNKNOWN,
	TC3_PART_TWICE,
	TC3_CREDENTIAL_MISSING,
	TC3_CREDENTIAL_MALFORMED,
	TC3_SECRET_ID_MALFORMED, /* also of v1 */
	TC3_DATE_MALFORMED,
	TC3_SERVICE_MALFORMED,
	TC3_SIGNED_HEADERS_MISSING,
	TC3_SIGNED_HEADERS_MALFORMED,
	TC3_CONTENT_TYPE_UNSIGNED,
	TC3_HOST_UNSIGNED,
	TC3_SIGNATURE_MISSING,
	TC3_SIGNATURE_MALFORMED,
	/* the time, of both */
	TC3_TIMESTAMP_MISSING,
	TC3_TIMESTAMP_MALFORMED,
	TC3_EXPIRED, /* too far from now, to either side */
	TC3_DATE_OTHER,
	/* the parameters of v1 */
	TC3_V1_SECRET_ID_MISSING,
	TC3_V1_NONCE_MISSING,
	TC3_V1_METHOD_UNKNOWN,
	TC3_V1_SIGNATURE_MISSING,
	TC3_V1_SIGNATURE_MALFORMED,
	TC3_V1_PARAMETER_TWICE,
	TC3_V1_PARAMETERS_TOO_MANY,
	/* verifying, of both */
	TC3_HEADER_MISSING, /* one that SignedHeaders names */
	TC3_TOO_LONG,	    /* what is signed, or the key */
	TC3_SIGNATURE_WRONG,
	TC3_NO_MEMORY,
	TC3_FAULTS /* how many there are */
};

/** The vendor's code for `Response.Error.Code`; "" for TC3_OK. */
const char *tc3_fault_code(enum tc3_fault fault);

/** One sentence that names the field; nothing of the request is in it. */
const char *tc3_fault_text(enum tc3_fault fault);

/** The value of a header, or NULL; `name` is in lower case, the request's own
 *  may be in any.  The value must live until the call returns. */
typedef const char *(tc3_header_fn)(const char *name, void *arg);

/** A request as it came; all is the caller's. */
struct tc3_request {
	const char *method; /* "POST" */
	const char *path;   /* as sent, without the query; "" is "/" */
	const char *query;  /* as sent, still encoded, without '?'; or "" */
	tc3_header_fn *header;
	void *header_arg;
	const void *body;
	size_t len;	    /* [bytes] */
	int64_t now_unix_s; /* the time here */
};

/** What a request says of its signature; nothing of it is proved yet. */
struct tc3_auth {
	char secret_id[TC3_SECRET_ID_MAX + 1]; /* letters, digits, -_.*@+ */
	char date[TC3_DATE_LEN + 1];
	/* "gme".  The SDK for node takes what stands before the first dot of
	 * its endpoint: of "localhost:9000" all, of "127.0.0.1" "127". */
	char service[TC3_SERVICE_MAX + 1]; /* letters, digits, -_: */
	char signed_headers[TC3_SIGNED_HEADERS_MAX + 1];
	char timestamp[TC3_TIMESTAMP_MAX + 1]; /* as sent */
	int64_t timestamp_s;
	uint8_t signature[SIG_SHA256_LEN];
};

/**
 * Read Authorization and X-TC-Timestamp.
 *
 * auth   out, on TC3_OK only
 *
 * Authorization is "TC3-HMAC-SHA256 Credential=<id>/<date>/<service>/
 * tc3_request, SignedHeaders=<a;b>, Signature=<64 hex digits>", the parts in
 * any order.  SignedHeaders may list any headers, in lower case, in the order
 * they were signed in, if content-type and host are among them.
 */
MUST_CHECK enum tc3_fault tc3_parse(const struct tc3_request *r,
				    struct tc3_auth *auth);

/**
 * Is this the signature of this request, made now?
 *
 * auth         of tc3_parse() for the same request
 * secret_key   of auth->secret_id
 *
 * With the header X-TC-Content-SHA256: UNSIGNED-PAYLOAD the body is not
 * covered.  An empty key proves nothing: TC3_SIGNATURE_WRONG.
 */
MUST_CHECK enum tc3_fault tc3_verify(const struct tc3_request *r,
				     const struct tc3_auth *auth,
				     const char *secret_key);

/** Who signs, in tc3_sign. */
struct tc3_signer {
	const char *secret_id;
	const char *secret_key;
	const char *service;
	const char *signed_headers; /* "content-type;host" */
};

/**
 * Append the value of Authorization for a request that is sent at
 * r->now_unix_s, which must also be its X-TC-Timestamp.  Values are signed as
 * they are.
 *
 * Returns 0, or
 *   EINVAL     tc3_parse would not take it, or a listed header is not there
 *   EMSGSIZE   too long, also for `out`
 *   ENOMEM
 */
MUST_CHECK int tc3_sign(const struct tc3_request *r, const struct tc3_signer *s,
			struct buf *out);

/** A parameter of v1, decoded, from the form body or from the query. */
struct tc3_parameter {
	const char *name;
	const char *value;
};

/** A request of v1; all is the caller's. */
struct tc3_v1_request {
	const char *method; /* "POST" */
	const char *host;   /* of the Host header */
	const char *path;   /* as sent, without the query; "" is "/" */
	const struct tc3_parameter *parameters; /* in any order */
	size_t n;
	int64_t now_unix_s;
};

struct tc3_v1_auth {
	char secret_id[TC3_SECRET_ID_MAX + 1];
	bool is_sha256; /* HmacSHA256; else HmacSHA1, the default */
	int64_t timestamp_s;
	uint8_t signature[SIG_SHA256_LEN];
	size_t signature_len; /* [bytes] */
};

/** Read SecretId, Timestamp, Nonce (it must be there), SignatureMethod and
 *  Signature.  auth: out, on TC3_OK only. */
MUST_CHECK enum tc3_fault tc3_v1_parse(const struct tc3_v1_request *r,
				       struct tc3_v1_auth *auth);

/** As tc3_verify.  All parameters but Signature are covered. */
MUST_CHECK enum tc3_fault tc3_v1_verify(const struct tc3_v1_request *r,
					const struct tc3_v1_auth *auth,
					const char *secret_key);

/**
 * Write the value of Signature for the parameters of `r`, which must be there
 * already, but for Signature itself.
 *
 * Returns 0, EINVAL (a parameter is there twice, or there are too many),
 * EMSGSIZE or ENOMEM.
 */
MUST_CHECK int tc3_v1_sign(const struct tc3_v1_request *r,
			   const char *secret_key, bool is_sha256,
			   char out[TC3_V1_SIGNATURE_CAP]);

#endif
