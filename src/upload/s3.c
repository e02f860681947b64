/**
 * upload/s3.c -- a bucket as storage.
 *
 *	HEAD   there already, the same length and hash: done; other contents:
 *	       never touched
 *	PUT    with the hash signed, and kept as x-amz-meta-sha256; the ETag
 *	       that comes back is compared
 *	HEAD   it is there, so long, with that hash: confirmed
 *
 * So a crash at any place is found out by the first HEAD.  The spool's file is
 * read only when the store has answered that: a store that is down for days
 * costs no disk.
 *
 * Fault injection (base/crash.h): points s3.put.before, s3.put.after,
 * s3.confirmed, and those of s3_parts.c.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/s3.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/str.h"
#include "wire/sig.h"
#include "wire/xml.h"

/** An object as HEAD shows it. */
struct head {
	bool is_there;
	int64_t len;
	char sha256[65]; /* of its metadata, "": none */
};

/* ---- looking --------------------------------------------------------------- */

static int look(struct upload_storage *s, const char *name, struct head *head,
		struct err *err)
{
	const struct s3_call call = s3_call("HEAD", name);
	const char *len, *sha256;
	struct buf answer;
	int code;

	*head = (struct head){0};
	buf_init(&answer, S3_ANSWER_MAX);
	code = s3_send(s, &call, &answer, err);
	buf_fini(&answer);
	if (code == ENOENT)
		return 0;
	if (code)
		return code;
	head->is_there = true;
	len = http_session_field(s->session, "Content-Length");
	sha256 = http_session_field(s->session, "x-amz-meta-sha256");
	if (!len || str_to_i64(len, 0, INT64_MAX, &head->len))
		head->len = -1;
	str_copy(head->sha256, sizeof(head->sha256), sha256 ? sha256 : "");
	return 0;
}

static bool is_like(const struct head *head, int64_t len, const char *sha256)
{
	return head->is_there && head->len == len &&
	       !strcmp(head->sha256, sha256);
}

/** Nothing counts before the store shows it. */
static int confirm(struct upload_storage *s, const char *name, int64_t len,
		   const char *sha256, struct err *err)
{
	struct head head;
	int code = look(s, name, &head, err);

	if (code)
		return code;
	if (!is_like(&head, len, sha256))
		return err_set(err, EILSEQ, "storage",
			       "%.200s was sent, but the store shows %s", name,
			       head.is_there ? "another length or hash"
					     : "no such object");
	return 0;
}

/* ---- sending --------------------------------------------------------------- */

static int put_whole(struct upload_storage *s, const struct upload_item *item,
		     int fd, const char *sha256, struct err *err)
{
	const struct http_file file = {.fd = fd, .len = item->len};
	struct s3_call call = s3_call("PUT", item->name);
	char md5[33], base64[SIG_BASE64_CAP(16)];
	struct file_digest d;
	struct buf answer;
	int code = file_digest(fd, 0, item->len, &d);

	if (code)
		return storage_fail(err, code, "read", item->name);
	if (strcmp(d.sha256, sha256) != 0)
		return storage_damaged(err, item->name);
	s3_md5_hex(&d, md5);
	call.file = &file;
	call.sha256 = sha256;
	s3_header(&call, "content-type", s3_content_type(item->name));
	s3_header(&call, "x-amz-meta-sha256", sha256);
	s3_header_md5(&call, &d, base64);
	buf_init(&answer, S3_ANSWER_MAX);
	crash_point("s3.put.before");
	code = s3_send(s, &call, &answer, err);
	buf_fini(&answer);
	if (!code)
		crash_point("s3.put.after");
	if (!code && !s3_etag_fits(s, md5))
		code = err_set(err, EILSEQ, "storage",
			       "%.200s: the store has another MD5 than what "
			       "was sent",
			       item->name);
	return code;
}

/** ENOENT is the spool's: here it is the store that has lost its place. */
static int not_of_spool(int code, struct err *err)
{
	if (code == ENOENT)
		err->code = code = EIO;
	return code;
}

static int send_file(struct upload_storage *s, const struct upload_item *item,
		     int fd, const char *sha256, struct err *err)
{
	int code;

	if (s3_is_in_parts(s, item->len))
		code = s3_put_parts(s, item, fd, sha256, err);
	else
		code = put_whole(s, item, fd, sha256, err);
	if (!code)
		code = confirm(s, item->name, item->len, sha256, err);
	if (!code)
		crash_point("s3.confirmed");
	return not_of_spool(code, err);
}

/**
 * There is an object of our length and hash: is it whole?  Its ETag tells; one
 * that is wrong is ours, and is sent again.
 */
static int check_there(struct upload_storage *s, const struct upload_item *item,
		       int fd, bool *is_whole, struct err *err)
{
	char etag[S3_ETAG_CAP];
	struct file_digest d;
	int code;

	if (s3_is_in_parts(s, item->len)) {
		code = s3_parts_etag(s, fd, item->len, etag);
	} else {
		code = file_digest(fd, 0, item->len, &d);
		if (!code)
			s3_md5_hex(&d, etag);
	}
	if (code)
		return storage_fail(err, code, "read", item->name);
	*is_whole = s3_etag_fits(s, etag);
	return 0;
}

/** With the spool's file open. */
static int put_open(struct upload_storage *s, const struct upload_item *item,
		    int fd, const struct head *head, struct err *err)
{
	char sha256[65];
	struct file_digest d;
	struct stat st;
	bool is_whole = false;
	int code = fstat(fd, &st) ? errno : 0;

	if (!code && st.st_size != item->len)
		return storage_damaged(err, item->name);
	str_copy(sha256, sizeof(sha256), item->sha256);
	if (!code && !*sha256) {
		code = file_digest(fd, 0, item->len, &d);
		str_copy(sha256, sizeof(sha256), d.sha256);
	}
	if (code)
		return storage_fail(err, code, "read", item->name);
	if (head->is_there && !is_like(head, item->len, sha256))
		return storage_taken(err, item->name);
	if (head->is_there)
		code = check_there(s, item, fd, &is_whole, err);
	if (code || is_whole)
		return code;
	return send_file(s, item, fd, sha256, err);
}

static int put(struct upload_storage *s, const struct upload_item *item,
	       struct err *err)
{
	char path[STORAGE_PATH_CAP];
	struct head head;
	int fd = -1;
	int code = look(s, item->name, &head, err);

	if (code)
		return code;
	code = storage_path(path, s->config->spool_dir, item->name, "");
	if (!code) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		code = fd < 0 ? errno : 0;
	}
	if (code == ENOENT && *item->sha256 &&
	    is_like(&head, item->len, item->sha256))
		return 0; /* stored, and its spool copy dropped, before */
	if (code)
		return storage_fail(err, code, "read", item->name);
	code = put_open(s, item, fd, &head, err);
	close(fd);
	return code;
}

/* ---- texts ----------------------------------------------------------------- */

static int put_bytes(struct upload_storage *s, const char *name,
		     const void *data, size_t len, struct err *err)
{
	struct s3_call call = s3_call("PUT", name);
	char sha256[65];
	struct buf answer;
	int code = sig_sha256_hex(data, len, sha256);

	if (code)
		return storage_fail(err, code, "store", name);
	call.sha256 = sha256;
	call.body = data;
	call.body_len = len;
	s3_header(&call, "content-type", s3_content_type(name));
	s3_header(&call, "x-amz-meta-sha256", sha256);
	buf_init(&answer, S3_ANSWER_MAX);
	code = not_of_spool(s3_send(s, &call, &answer, err), err);
	buf_fini(&answer);
	return code;
}

static int name_in(const char *folder, const char *name, char *out, size_t cap)
{
	int len = snprintf(out, cap, "%s/%s", folder, name);

	return len < 0 || (size_t)len >= cap ? ENAMETOOLONG : 0;
}

static int put_text(struct upload_storage *s, const struct upload_text *text,
		    const char *const *folders, size_t n, struct err *err)
{
	char name[S3_KEY_MAX + 1];
	int code = 0;

	for (size_t i = 0; !code && i < n; i++) {
		code = crash_errno("upload.text");
		if (!code)
			code = name_in(folders[i], text->name, name,
				       sizeof(name));
		if (code)
			return storage_fail(err, code, "store", text->name);
		code = put_bytes(s, name, text->data, text->len, err);
		if (!code)
			crash_point("upload.text");
	}
	return code;
}

/* ---- removing -------------------------------------------------------------- */

static int remove_object(struct upload_storage *s, const char *name,
			 struct err *err)
{
	const struct s3_call call = s3_call("DELETE", name);
	struct buf answer;
	int code;

	buf_init(&answer, S3_ANSWER_MAX);
	code = s3_send(s, &call, &answer, err);
	buf_fini(&answer);
	return code == ENOENT ? 0 : code;
}

static int erase(struct upload_storage *s, const char *name, struct err *err)
{
	int code = s3_abort_parts(s, name, err);

	return code ? code : remove_object(s, name, err);
}

/** One page of a listing. */
struct page {
	struct buf text;
	char next[1024]; /* token, "": it is the last */
};

static int list(struct upload_storage *s, const char *prefix, struct page *page,
		struct err *err)
{
	struct s3_call call = s3_call("GET", NULL);
	char token[sizeof(page->next)];
	int code;

	str_copy(token, sizeof(token), page->next);
	s3_query(&call, "list-type", "2");
	s3_query(&call, "prefix", prefix);
	if (*token)
		s3_query(&call, "continuation-token", token);
	code = s3_send(s, &call, &page->text, err);
	if (code)
		return not_of_spool(code, err);
	xml_find(s3_xml(&page->text), "NextContinuationToken", page->next,
		 sizeof(page->next));
	return 0;
}

/** Remove what is marked of a page.  `at`: bytes of a key before its name. */
static int drop_page(struct upload_storage *s, const struct page *page,
		     const char *mark, const char *keep, struct err *err)
{
	struct xml x = s3_xml(&page->text);
	const size_t prefix_len = strlen(s->place->s3.prefix);
	char key[S3_KEY_MAX + 1];
	int code = 0;

	while (!code && xml_next(&x, "Key", key, sizeof(key))) {
		const char *slash = strrchr(key, '/');

		if (!slash || strlen(key) <= prefix_len ||
		    !strstr(slash, mark) || (keep && !strcmp(slash + 1, keep)))
			continue;
		code = remove_object(s, key + prefix_len, err);
	}
	return code;
}

/* Of 1000 names each: a folder of a track has some 12 files a day. */
enum { PAGES_MAX = 1000 };

static int drop_folder(struct upload_storage *s, const char *folder,
		       const char *mark, const char *keep, struct err *err)
{
	char prefix[S3_KEY_MAX + 1];
	struct page page = {.next = ""};
	unsigned n = 0;
	int len = snprintf(prefix, sizeof(prefix), "%s%s/", s->place->s3.prefix,
			   folder);
	int code = 0;

	if (!mark)
		return 0; /* there are no folders */
	if (len < 0 || (size_t)len >= sizeof(prefix))
		return storage_fail(err, ENAMETOOLONG, "cannot tidy", folder);
	buf_init(&page.text, S3_ANSWER_MAX);
	do {
		code = list(s, prefix, &page, err);
		if (!code)
			code = drop_page(s, &page, mark, keep, err);
	} while (!code && *page.next && ++n < PAGES_MAX);
	if (!code && *page.next)
		code = err_set(err, E2BIG, "storage",
			       "%.100s: the bucket lists it without an end",
			       folder);
	buf_fini(&page.text);
	return code;
}

/* ---- trying ---------------------------------------------------------------- */

static int try(struct upload_storage *s, struct err *err)
{
	static const char text[] = "written by tapeop doctor; may be removed\n";
	const struct s3_call bucket = s3_call("HEAD", NULL);
	char name[80], sha256[65];
	struct buf answer;
	int code = sig_sha256_hex(text, strlen(text), sha256);

	if (code)
		return storage_fail(err, code, "try", s->place->s3.bucket);
	snprintf(name, sizeof(name), "tapeop-doctor-%d-%" PRId64 ".txt",
		 (int)getpid(), clock_unix_ms());
	buf_init(&answer, S3_ANSWER_MAX);
	code = s3_send(s, &bucket, &answer, err);
	buf_fini(&answer);
	if (code == ENOENT) /* of a bucket it is nothing else */
		return err->code = ENXIO;
	if (!code)
		code = put_bytes(s, name, text, strlen(text), err);
	if (!code) {
		struct err why = {0};
		int gone;

		code = confirm(s, name, (int64_t)strlen(text), sha256, err);
		gone = remove_object(s, name, &why);
		if (!code && gone) {
			*err = why;
			code = gone;
		}
	}
	return code;
}

const struct storage_ops s3_ops = {
	.put = put,
	.put_text = put_text,
	.erase = erase,
	.drop_folder = drop_folder,
	.try = try,
	.write_location = s3_write_location,
};
