/**
 * upload/s3_parts.c -- long files in parts, over restarts.
 *
 *	POST ?uploads           an id, which is written down
 *	PUT ?partNumber=N       one after another; its ETag is compared and
 *	                        written down
 *	POST ?uploadId=..       puts them together
 *
 * What is written down is a small text beside the spool's file: an attempt, or
 * a server, that comes later goes on behind the last part in it.  It says of
 * which file and place it is; of another one it is begun anew.
 *
 *	tapeop-upload 1
 *	<sha256> <length> <length of a part> <URL of the object>
 *	<upload id>
 *	<ETag of part 1>
 *	..
 *
 * Fault injection (base/crash.h): points s3.parts.begun, s3.parts.part,
 * s3.parts.complete.before, s3.parts.complete.after; fault s3.parts.small (any
 * errno): files over 16 KiB go in parts of 8 KiB.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/s3.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/sig.h"
#include "wire/xml.h"

enum {
	MULTIPART_FROM = 64 << 20,
	PART_LEN = 16 << 20,
	SMALL_FROM = 16 << 10, /* with the fault s3.parts.small */
	SMALL_PART = 8 << 10,
	PARTS_MAX = 10000, /* of S3 */
	ID_CAP = 1024,
	STATE_MAX = 4096 + S3_URL_MAX + PARTS_MAX * S3_ETAG_CAP,
	COMPLETE_MAX = PARTS_MAX * (S3_ETAG_CAP + 80),
	COMPLETE_US = 600 * 1000 * 1000
};

/** An upload in parts that is under way. */
struct parts {
	struct upload_storage *s;
	const struct upload_item *item;
	int fd;
	const char *sha256;
	int64_t part_len;
	unsigned n; /* parts, all */
	char path[STORAGE_PATH_CAP];
	char url[S3_URL_MAX];
	/* what is written down */
	char id[ID_CAP];
	char (*etags)[S3_ETAG_CAP]; /* n of them */
	unsigned done;
};

/** A test of the whole server has no files that long. */
static bool is_small(void)
{
	return crash_errno("s3.parts.small") != 0;
}

bool s3_is_in_parts(const struct upload_storage *s, int64_t len)
{
	const int64_t from = s->config->multipart_from;

	if (is_small())
		return len > SMALL_FROM;
	return len > (from ? from : MULTIPART_FROM);
}

int64_t s3_part_len(const struct upload_storage *s, int64_t len)
{
	int64_t part = s->config->part_len ? s->config->part_len : PART_LEN;

	if (is_small())
		part = SMALL_PART;
	while ((len + part - 1) / part > PARTS_MAX)
		part *= 2;
	return part;
}

static int64_t len_of(const struct parts *p, unsigned i)
{
	const int64_t from = i * p->part_len;
	const int64_t left = p->item->len - from;

	return left < p->part_len ? left : p->part_len;
}

/* ---- written down ---------------------------------------------------------- */

static void write_head(const struct parts *p, struct buf *out)
{
	buf_printf(out, "tapeop-upload 1\n%s %" PRId64 " %" PRId64 " %s\n",
		   p->sha256, p->item->len, p->part_len, p->url);
}

static int save(const struct parts *p)
{
	struct buf text;
	int err;

	buf_init(&text, STATE_MAX);
	write_head(p, &text);
	buf_printf(&text, "%s\n", p->id);
	for (unsigned i = 0; i < p->done; i++)
		buf_printf(&text, "%s\n", p->etags[i]);
	err = buf_err(&text);
	if (!err)
		err = file_write_durable(p->path, text.data, text.len);
	buf_fini(&text);
	return err;
}

/** Copy the next line; false: there is none, or it is too long. */
static bool next_line(const char **at, char *out, size_t cap)
{
	const char *end = strchr(*at, '\n');
	size_t len = end ? (size_t)(end - *at) : 0;

	if (!end || !len || len >= cap)
		return false;
	memcpy(out, *at, len);
	out[len] = 0;
	*at = end + 1;
	return true;
}

/** Take over what an earlier attempt wrote down; what is of something else, or
 *  not understood, counts as nothing. */
static int load(struct parts *p)
{
	struct buf text, head;
	const char *at;
	int err;

	buf_init(&text, STATE_MAX);
	buf_init(&head, STATE_MAX);
	write_head(p, &head);
	err = buf_err(&head);
	if (!err)
		err = file_read(p->path, &text);
	at = buf_str(&text);
	if (!err && str_starts_with(at, buf_str(&head))) {
		at += head.len;
		if (!next_line(&at, p->id, sizeof(p->id)))
			p->id[0] = 0;
		while (p->id[0] && p->done < p->n &&
		       next_line(&at, p->etags[p->done], S3_ETAG_CAP))
			p->done++;
	}
	buf_fini(&text);
	buf_fini(&head);
	return err == ENOENT || err == EMSGSIZE ? 0 : err;
}

static void forget(struct parts *p)
{
	if (unlink(p->path) && errno != ENOENT)
		log_warn("%s cannot be removed: %s", p->path,
			 strerrordesc_np(errno));
	p->id[0] = 0;
	p->done = 0;
}

/* ---- steps ----------------------------------------------------------------- */

static bool is_id(const char *id)
{
	return *id && s3_is_word(id);
}

static int begin(struct parts *p, struct err *err)
{
	struct s3_call call = s3_call("POST", p->item->name);
	struct buf answer;
	int code;

	s3_query(&call, "uploads", "");
	s3_header(&call, "content-type", s3_content_type(p->item->name));
	s3_header(&call, "x-amz-meta-sha256", p->sha256);
	buf_init(&answer, S3_ANSWER_MAX);
	code = s3_send(p->s, &call, &answer, err);
	if (!code) {
		xml_find(s3_xml(&answer), "UploadId", p->id, sizeof(p->id));
		if (!is_id(p->id))
			code = err_set(err, EIO, "storage",
				       "%.200s: the answer has no upload id",
				       p->item->name);
	}
	buf_fini(&answer);
	if (code)
		return code;
	crash_point("s3.parts.begun");
	code = save(p);
	return code ? storage_fail(err, code, "write down the upload of",
				   p->item->name)
		    : 0;
}

/** Send part i, from 0. */
static int send_part(struct parts *p, unsigned i, struct err *err)
{
	const struct http_file file = {
		.fd = p->fd, .offset = i * p->part_len, .len = len_of(p, i)};
	struct s3_call call = s3_call("PUT", p->item->name);
	char number[16], md5[33], base64[SIG_BASE64_CAP(16)];
	struct file_digest d;
	struct buf answer;
	int code = file_digest(p->fd, file.offset, file.len, &d);

	if (code)
		return storage_fail(err, code, "read", p->item->name);
	snprintf(number, sizeof(number), "%u", i + 1);
	s3_query(&call, "partNumber", number);
	s3_query(&call, "uploadId", p->id);
	call.file = &file;
	call.sha256 = d.sha256;
	s3_header_md5(&call, &d, base64);
	s3_md5_hex(&d, md5);
	buf_init(&answer, S3_ANSWER_MAX);
	code = s3_send(p->s, &call, &answer, err);
	buf_fini(&answer);
	if (code)
		return code;
	s3_etag(p->s, p->etags[i]);
	if (!p->etags[i][0] || !s3_etag_fits(p->s, md5))
		return err_set(err, EILSEQ, "storage",
			       "%.200s: part %u: the store has another MD5 "
			       "than what was sent, or none",
			       p->item->name, i + 1);
	return 0;
}

static int send_parts(struct parts *p, struct err *err)
{
	int code = 0;

	while (!code && p->done < p->n) {
		code = send_part(p, p->done, err);
		if (code)
			return code;
		p->done++;
		code = save(p);
		if (code)
			return storage_fail(err, code,
					    "write down the upload of",
					    p->item->name);
		crash_point("s3.parts.part");
	}
	return 0;
}

static void write_complete(const struct parts *p, struct buf *out)
{
	buf_puts(out, "<CompleteMultipartUpload>");
	for (unsigned i = 0; i < p->n; i++)
		buf_printf(out,
			   "<Part><PartNumber>%u</PartNumber>"
			   "<ETag>\"%s\"</ETag></Part>",
			   i + 1, p->etags[i]);
	buf_puts(out, "</CompleteMultipartUpload>");
}

static int complete(struct parts *p, struct err *err)
{
	struct s3_call call = s3_call("POST", p->item->name);
	struct buf body, answer;
	char sha256[65];
	int code;

	buf_init(&body, COMPLETE_MAX);
	buf_init(&answer, S3_ANSWER_MAX);
	write_complete(p, &body);
	code = buf_err(&body);
	if (!code)
		code = sig_sha256_hex(body.data, body.len, sha256);
	if (code) {
		storage_fail(err, code, "put together", p->item->name);
		goto out;
	}
	s3_query(&call, "uploadId", p->id);
	s3_header(&call, "content-type", "application/xml");
	call.sha256 = sha256;
	call.body = body.data;
	call.body_len = body.len;
	call.timeout_us = COMPLETE_US; /* the store may copy all of it */
	crash_point("s3.parts.complete.before");
	code = s3_send(p->s, &call, &answer, err);
	if (!code)
		crash_point("s3.parts.complete.after");
out:
	buf_fini(&body);
	buf_fini(&answer);
	return code;
}

/* ---- all of it ------------------------------------------------------------- */

static int prepare(struct parts *p, struct err *err)
{
	struct buf url;
	int code = storage_path(p->path, p->s->config->spool_dir, p->item->name,
				UPLOAD_STATE_SUFFIX);

	buf_init(&url, sizeof(p->url) - 1);
	s3_write_location(p->s->place, p->item->name, &url);
	if (!code)
		code = buf_err(&url);
	if (!code)
		str_copy(p->url, sizeof(p->url), buf_str(&url));
	buf_fini(&url);
	p->part_len = s3_part_len(p->s, p->item->len);
	p->n = (unsigned)((p->item->len + p->part_len - 1) / p->part_len);
	p->etags = mem_zalloc_n(p->n, sizeof(*p->etags));
	if (!code && !p->etags)
		code = ENOMEM;
	if (!code)
		code = load(p);
	return code ? storage_fail(err, code, "store", p->item->name) : 0;
}

static int check_file(const struct parts *p, struct err *err)
{
	struct file_digest d;
	int code = file_digest(p->fd, 0, p->item->len, &d);

	if (code)
		return storage_fail(err, code, "read", p->item->name);
	return strcmp(d.sha256, p->sha256) != 0
		       ? storage_damaged(err, p->item->name)
		       : 0;
}

static int run(struct parts *p, struct err *err)
{
	int code = check_file(p, err);

	if (!code && p->id[0] && p->done)
		log_info("%s: the upload goes on at part %u of %u",
			 p->item->name, p->done + 1, p->n);
	if (!code && !p->id[0])
		code = begin(p, err);
	if (!code)
		code = send_parts(p, err);
	if (!code)
		code = complete(p, err);
	/* The store knows nothing of it any more, or no part: begin anew, the
	 * next time. */
	if (code == ESTALE || code == ENOENT)
		forget(p);
	return code;
}

int s3_put_parts(struct upload_storage *s, const struct upload_item *item,
		 int fd, const char *sha256, struct err *err)
{
	struct parts *p = mem_zalloc(sizeof(*p));
	int code;

	if (!p)
		return storage_fail(err, ENOMEM, "store", item->name);
	p->s = s;
	p->item = item;
	p->fd = fd;
	p->sha256 = sha256;
	code = prepare(p, err);
	if (!code)
		code = run(p, err);
	mem_free(p->etags);
	mem_free(p);
	return code;
}

int s3_parts_etag(const struct upload_storage *s, int fd, int64_t len,
		  char out[S3_ETAG_CAP])
{
	const int64_t part_len = s3_part_len(s, len);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t md5[16];
	struct file_digest d;
	unsigned n = 0;
	int err = md ? 0 : ENOMEM;

	*out = 0;
	if (err || EVP_DigestInit_ex(md, EVP_md5(), NULL) != 1)
		goto out;
	for (int64_t at = 0; !err && at < len; at += part_len, n++) {
		err = file_digest(
			fd, at, len - at < part_len ? len - at : part_len, &d);
		if (!err && EVP_DigestUpdate(md, d.md5, sizeof(d.md5)) != 1)
			err = ENOMEM;
	}
	if (!err && EVP_DigestFinal_ex(md, md5, NULL) != 1)
		err = ENOMEM;
	if (!err) {
		sig_hex(md5, sizeof(md5), out);
		snprintf(out + 32, S3_ETAG_CAP - 32, "-%u", n);
	}
out:
	EVP_MD_CTX_free(md);
	return err;
}

/* ---- giving up ------------------------------------------------------------- */

/** The id that is written down; "": none. */
static int read_id(struct upload_storage *s, const char *name, char id[ID_CAP])
{
	char path[STORAGE_PATH_CAP];
	char line[STATE_MAX > 16384 ? 16384 : STATE_MAX];
	struct buf text;
	const char *at;
	int err = storage_path(path, s->config->spool_dir, name,
			       UPLOAD_STATE_SUFFIX);

	buf_init(&text, STATE_MAX);
	if (!err)
		err = file_read(path, &text);
	at = buf_str(&text);
	if (err || !next_line(&at, line, sizeof(line)) ||
	    !next_line(&at, line, sizeof(line)) || !next_line(&at, id, ID_CAP))
		id[0] = 0;
	buf_fini(&text);
	return err == ENOENT || err == ENOTDIR ? 0 : err;
}

int s3_abort_parts(struct upload_storage *s, const char *name, struct err *err)
{
	struct s3_call call = s3_call("DELETE", name);
	char id[ID_CAP];
	struct buf answer;
	int code = read_id(s, name, id);

	if (code)
		return storage_fail(err, code, "read the upload of", name);
	if (!id[0])
		return 0;
	s3_query(&call, "uploadId", id);
	buf_init(&answer, S3_ANSWER_MAX);
	code = s3_send(s, &call, &answer, err);
	buf_fini(&answer);
	/* Gone already, or a store that knows no such call. */
	return code == ENOENT || code == ESTALE || code == EOPNOTSUPP ? 0
								      : code;
}
