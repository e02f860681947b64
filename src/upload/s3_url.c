/** upload/s3_url.c -- where a bucket is: settings, addresses, presigned URLs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/s3.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/quote.h"

enum { BUCKET_MIN = 3, BUCKET_MAX = 63 };

/** Behind "https://". */
static const char *authority(const struct upload_s3 *s3, size_t *len)
{
	const char *at = strstr(s3->endpoint, "://");

	at = at ? at + 3 : s3->endpoint;
	*len = strcspn(at, "/");
	return at;
}

static bool is_tls(const struct upload_s3 *s3)
{
	return !strncasecmp(s3->endpoint, "https:", 6);
}

/** libcurl leaves the port of the scheme out of Host, and so do we. */
void s3_write_host(const struct upload_s3 *s3, struct buf *out)
{
	const char *port = is_tls(s3) ? ":443" : ":80";
	size_t port_len = strlen(port);
	size_t len;
	const char *at = authority(s3, &len);

	if (len > port_len && !strncmp(at + len - port_len, port, port_len))
		len -= port_len;
	if (!s3->path_style)
		buf_printf(out, "%s.", s3->bucket);
	buf_append(out, at, len);
}

void s3_write_origin(const struct upload_s3 *s3, struct buf *out)
{
	buf_puts(out, is_tls(s3) ? "https://" : "http://");
	s3_write_host(s3, out);
}

void s3_write_path(const struct upload_s3 *s3, const char *name,
		   struct buf *out)
{
	buf_putc(out, '/');
	if (s3->path_style)
		buf_puts(out, s3->bucket);
	if (!name)
		return;
	if (s3->path_style)
		buf_putc(out, '/');
	buf_printf(out, "%s%s", s3->prefix, name);
}

void s3_write_location(const struct upload_place *place, const char *name,
		       struct buf *out)
{
	struct buf path;

	buf_init(&path, S3_URL_MAX);
	s3_write_path(&place->s3, name, &path);
	s3_write_origin(&place->s3, out);
	quote_percent_path(out, buf_str(&path));
	buf_fini(&path);
}

struct sigv4_key s3_key(const struct upload_s3 *s3)
{
	return (struct sigv4_key){.id = s3->access_key,
				  .secret = s3->secret_key,
				  .region = s3->region};
}

bool s3_is_word(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text <= ' ' || (unsigned char)*text > '~')
			return false;
	}
	return true;
}

void upload_origin(const struct upload_place *place, char *out, size_t cap)
{
	struct buf origin;

	buf_init(&origin, S3_URL_MAX);
	if (place->kind == UPLOAD_S3)
		s3_write_origin(&place->s3, &origin);
	if (buf_err(&origin) || !str_copy(out, cap, buf_str(&origin)))
		out[0] = 0;
	buf_fini(&origin);
}

int upload_presign(const struct upload_place *place, const char *name,
		   int64_t expires_s, struct buf *out)
{
	const struct upload_s3 *s3 = &place->s3;
	const struct sigv4_key key = s3_key(s3);
	struct sigv4_request r = {.method = "GET",
				  .unix_s = clock_unix_ms() / 1000};
	struct buf host, path;
	int err;

	assert(place->kind == UPLOAD_S3);
	buf_init(&host, S3_URL_MAX);
	buf_init(&path, S3_URL_MAX);
	s3_write_host(s3, &host);
	s3_write_path(s3, name, &path);
	err = buf_err(&host) ? buf_err(&host) : buf_err(&path);
	if (!err) {
		r.host = buf_str(&host);
		r.path = buf_str(&path);
		s3_write_origin(s3, out); /* the location */
		quote_percent_path(out, r.path);
		buf_putc(out, '?');
		err = sigv4_presign(&key, &r, expires_s, out);
	}
	if (!err)
		err = buf_err(out);
	buf_fini(&host);
	buf_fini(&path);
	return err;
}

/* ---- settings -------------------------------------------------------------- */

static int check_endpoint(const struct upload_s3 *s3, struct err *err)
{
	struct err why;
	const char *path;
	size_t len;

	if (!s3->endpoint || !*s3->endpoint)
		return err_set(err, EINVAL, "endpoint",
			       "is required: the URL of the service, such as "
			       "https://s3.eu-central-1.amazonaws.com");
	if (http_url_check(s3->endpoint, &why))
		return err_set(err, EINVAL, "endpoint", "%s", why.text);
	path = authority(s3, &len);
	path += len;
	if (*path && strcmp(path, "/") != 0)
		return err_set(err, EINVAL, "endpoint",
			       "must end behind the host: the bucket and the "
			       "prefix are settings of their own");
	return 0;
}

/* Source: "General purpose bucket naming rules", Amazon S3 user guide. */
static int check_bucket(const struct upload_s3 *s3, struct err *err)
{
	const char *b = s3->bucket ? s3->bucket : "";
	size_t len = strlen(b);

	if (!len)
		return err_set(err, EINVAL, "bucket", "is required");
	if (len < BUCKET_MIN || len > BUCKET_MAX || b[0] == '-' ||
	    b[0] == '.' || b[len - 1] == '-' || b[len - 1] == '.' ||
	    strstr(b, "..") ||
	    b[strspn(b, "abcdefghijklmnopqrstuvwxyz0123456789.-")])
		return err_set(err, EINVAL, "bucket",
			       "must be 3 to 63 small letters, digits, - and "
			       ". (the name alone, no URL)");
	return 0;
}

static int check_prefix(const struct upload_s3 *s3, struct err *err)
{
	const char *p = s3->prefix ? s3->prefix : "";

	if (*p == '/' || strstr(p, "//") || strstr(p, "./") ||
	    !str_is_clean_utf8(p, strlen(p)))
		return err_set(err, EINVAL, "prefix",
			       "must be folders such as recordings/2026, "
			       "without a / in front, empty ones, . and ..");
	return 0;
}

static int check_keys(const struct upload_s3 *s3, struct err *err)
{
	if (!s3->access_key || !*s3->access_key)
		return err_set(err, EINVAL, "access_key", "is required");
	if (!s3_is_word(s3->access_key) || strpbrk(s3->access_key, "/,"))
		return err_set(err, EINVAL, "access_key",
			       "must be the name of a key pair: no spaces, / "
			       "and ,");
	if (!s3->secret_key || !*s3->secret_key)
		return err_set(err, EINVAL, "secret_key", "is required");
	return 0;
}

static int check_region(const struct upload_s3 *s3, struct err *err)
{
	const char *r = s3->region ? s3->region : "";

	if (!*r || r[strspn(r, "abcdefghijklmnopqrstuvwxyz"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")])
		return err_set(err, EINVAL, "region",
			       "must be letters, digits, -, _ and .: the "
			       "region of the bucket, us-east-1 where there "
			       "are none");
	return 0;
}

int upload_s3_check(const struct upload_s3 *s3, struct err *err)
{
	int code = check_endpoint(s3, err);

	if (!code)
		code = check_region(s3, err);
	if (!code)
		code = check_bucket(s3, err);
	if (!code)
		code = check_prefix(s3, err);
	if (!code)
		code = check_keys(s3, err);
	return code;
}
