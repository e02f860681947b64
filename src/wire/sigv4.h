/**
 * wire/sigv4.h -- sign requests to S3, as a client (AWS Signature Version 4).
 *
 * WHAT   What is signed is what must be sent, byte for byte: the target from
 *        sigv4_target(), and the headers below.  A client that tidies a path
 *        ("/a/../b", "//") sends something else: with libcurl, set
 *        CURLOPT_PATH_AS_IS.
 *
 * Source: "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3
 * API Reference: "Signature Calculations for the Authorization Header:
 * Transferring Payload in a Single Chunk" and "Authenticating Requests: Using
 * Query Parameters".  S3 encodes a path once and keeps '/'; other services of
 * AWS encode it twice, and are not meant here.
 *
 * Nothing is kept; what is derived from the secret is wiped.  Thread: any.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SIGV4_H
#define WIRE_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

enum {
	SIGV4_DATE_CAP = sizeof("20130524T000000Z"),
	SIGV4_PAIRS_MAX = 32,	     /* query parameters; headers */
	SIGV4_EXPIRES_MAX_S = 604800 /* seven days, the limit of S3 */
};

/** A payload that the signature does not cover. */
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/** Who signs, and for where; all are the caller's. */
struct sigv4_key {
	const char *id; /* access key id: no '/', ',', space or control */
	const char *secret;
	const char *token;  /* of temporary credentials, or NULL */
	const char *region; /* "us-east-1"; letters, digits, '-', '_', '.' */
};

struct sigv4_pair {
	const char *name;
	const char *value;
};

/** A request; all is the caller's, text is not encoded. */
struct sigv4_request {
	const char *method; /* "PUT" */
	const char *host;   /* as the Host header: with the port, if it has */
	const char *path;   /* "/bucket/a key"; begins with '/' */
	const struct sigv4_pair *query; /* in any order; a name may repeat */
	size_t n_query;			/* 0..SIGV4_PAIRS_MAX */
	/* More headers to sign (content-type, content-md5, range, x-amz-*), in
	 * any order and case, each once; a value has no control characters. */
	const struct sigv4_pair *headers;
	size_t n_headers; /* 0..SIGV4_PAIRS_MAX */
	int64_t unix_s;	  /* time of signing [s], 0..CLOCK_UNIX_S_MAX */
};

/** Write the value of x-amz-date: "20130524T000000Z". */
void sigv4_date(int64_t unix_s, char out[SIGV4_DATE_CAP]);

/**
 * Append path and query as they must be sent: "/a%20key?list-type=2".
 *
 * Returns 0, or
 *   EINVAL     the path does not begin with '/'
 *   EMSGSIZE   too many parameters, or over the limit of `out`
 *   ENOMEM
 */
MUST_CHECK int sigv4_target(const struct sigv4_request *r, struct buf *out);

/**
 * Append the value of the Authorization header.
 *
 * payload   sha256 of the body as 64 lower-case hex digits (of "" when there
 *           is none), or SIGV4_UNSIGNED
 * out       unchanged on an error of the request
 *
 * The request must then have exactly these headers beside what `r` lists:
 * Host, x-amz-date (sigv4_date), x-amz-content-sha256 (`payload`) and, with a
 * token, x-amz-security-token.  `r` must not list them itself.
 *
 * Returns 0, or
 *   EINVAL     the key, the path, a header or `payload` is not as said above
 *   EMSGSIZE   too many pairs, over 64 KiB, or over the limit of `out`
 *   ENOMEM
 */
MUST_CHECK int sigv4_authorize(const struct sigv4_key *k,
			       const struct sigv4_request *r,
			       const char *payload, struct buf *out);

/**
 * Append the query of a URL that anybody may use until it expires: the
 * parameters of `r`, X-Amz-Algorithm .. X-Amz-SignedHeaders, X-Amz-Signature.
 * The URL is scheme, host, quote_percent_path(path), '?' and this.
 *
 * expires_s   1..SIGV4_EXPIRES_MAX_S from r->unix_s on
 *
 * The payload is not signed.  Whoever uses the URL must send the headers that
 * `r` lists, with these values.
 *
 * Returns as sigv4_authorize; EINVAL also for `expires_s`, and for a
 * parameter of `r` that begins with "X-Amz-".
 */
MUST_CHECK int sigv4_presign(const struct sigv4_key *k,
			     const struct sigv4_request *r, int64_t expires_s,
			     struct buf *out);

#endif
