/**
 * upload/s3.h -- a bucket as storage; private.
 *
 *   s3.c            objects: put, confirm, texts, erase
 *   s3_request.c    one signed request, and what its answer means
 *   s3_parts.c      long files in parts, over restarts
 *   s3_url.c        settings, addresses, presigned URLs
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPLOAD_S3_H
#define UPLOAD_S3_H

#include "upload/storage.h"
#include "wire/sig.h"
#include "wire/sigv4.h"
#include "wire/xml.h"

enum {
	S3_PAIRS_MAX = 6,
	S3_KEY_MAX = 1024, /* [bytes], the limit of S3 */
	S3_URL_MAX = 8192,
	S3_ETAG_CAP = 80,
	S3_ANSWER_MAX = 4 << 20
};

/** A request; all is the caller's. */
struct s3_call {
	const char *method;
	const char *name; /* of the object, below the prefix; NULL: of none */
	struct sigv4_pair query[S3_PAIRS_MAX];
	size_t n_query;
	struct sigv4_pair headers[S3_PAIRS_MAX]; /* signed */
	size_t n_headers;
	const void *body;
	size_t body_len;
	const struct http_file *file; /* the body instead */
	const char *sha256;	      /* hex, of the body */
	int64_t timeout_us;	      /* 0: that of the config */
};

/** Begin a call without a body. */
struct s3_call s3_call(const char *method, const char *name);
void s3_query(struct s3_call *c, const char *name, const char *value);
void s3_header(struct s3_call *c, const char *name, const char *value);

/**
 * Sign, send, and read the answer.
 *
 * answer   its body; S3_ANSWER_MAX is a fitting limit
 *
 * Returns 0 for a status 200..299, or an errno as in upload/storage.h with
 * `err`: what was asked, the status, Code and Message of the store.
 */
MUST_CHECK int s3_send(struct upload_storage *s, const struct s3_call *call,
		       struct buf *answer, struct err *err);

/** The error in an answer: 200 may have one (CompleteMultipartUpload).
 *  Returns 0: none, or as s3_send. */
MUST_CHECK int s3_answer_error(struct upload_storage *s,
			       const struct s3_call *call, int status,
			       const struct buf *answer, struct err *err);

/** Have the store compare it with what arrives; `base64` is the call's. */
void s3_header_md5(struct s3_call *c, const struct file_digest *d,
		   char base64[SIG_BASE64_CAP(16)]);
/** An answer, for wire/xml.h; it lives as long as that. */
struct xml s3_xml(const struct buf *answer);

/** "<md5 as hex>", or "" where there is none. */
void s3_md5_hex(const struct file_digest *d, char out[33]);

/**
 * Is the last answer's ETag this one?  One that is no MD5 (the bucket encrypts
 * with KMS, or the store makes its own) says nothing: true.
 */
bool s3_etag_fits(struct upload_storage *s, const char *etag);
/** Copy it without its quotes; "" when it has none, or a strange one. */
void s3_etag(struct upload_storage *s, char out[S3_ETAG_CAP]);

/** "audio/mpeg", .. by the end of the name. */
const char *s3_content_type(const char *name);

/* s3_parts.c */

/** Is it long enough to be sent in parts? */
bool s3_is_in_parts(const struct upload_storage *s, int64_t len);
/** The length of each part but the last. */
int64_t s3_part_len(const struct upload_storage *s, int64_t len);
/** Send an open file in parts, and put them together; goes on where an
 *  earlier one ended.  Returns 0 or an errno with `err`. */
MUST_CHECK int s3_put_parts(struct upload_storage *s,
			    const struct upload_item *item, int fd,
			    const char *sha256, struct err *err);
/** Write the ETag that such an object has; "" where MD5 is forbidden. */
MUST_CHECK int s3_parts_etag(const struct upload_storage *s, int fd,
			     int64_t len, char out[S3_ETAG_CAP]);
/** What was begun of a name, in an earlier attempt, is given up. */
MUST_CHECK int s3_abort_parts(struct upload_storage *s, const char *name,
			      struct err *err);

/* s3_url.c */

/** The Host header, and the path of an object (NULL: of the bucket). */
void s3_write_host(const struct upload_s3 *s3, struct buf *out);
void s3_write_path(const struct upload_s3 *s3, const char *name,
		   struct buf *out);
/** The key pair that requests are signed with. */
struct sigv4_key s3_key(const struct upload_s3 *s3);
/** Printable ASCII without spaces? */
bool s3_is_word(const char *text);
/** "https://host" */
void s3_write_origin(const struct upload_s3 *s3, struct buf *out);
void s3_write_location(const struct upload_place *place, const char *name,
		       struct buf *out);

#endif
