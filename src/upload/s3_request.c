/** upload/s3_request.c -- one signed request, and what its answer means. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/s3.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/quote.h"
#include "wire/sig.h"
#include "wire/xml.h"

/* sha256 of nothing */
#define NO_BODY \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum {
	STALL_US = 60 * 1000 * 1000,
	SKEW_MAX_S = 15 * 60, /* what S3 permits */
	FIELDS_MAX = S3_PAIRS_MAX + 4,
	FIELD_CAP = 1024,
	CODE_CAP = 64,
	MESSAGE_CAP = 200,
	WHAT_CAP = 360
};

struct s3_call s3_call(const char *method, const char *name)
{
	return (struct s3_call){
		.method = method, .name = name, .sha256 = NO_BODY};
}

void s3_query(struct s3_call *c, const char *name, const char *value)
{
	assert(c->n_query < S3_PAIRS_MAX);
	c->query[c->n_query++] = (struct sigv4_pair){name, value};
}

void s3_header(struct s3_call *c, const char *name, const char *value)
{
	assert(c->n_headers < S3_PAIRS_MAX);
	c->headers[c->n_headers++] = (struct sigv4_pair){name, value};
}

/* ---- sending --------------------------------------------------------------- */

/** What of a request must live until it is sent. */
struct sending {
	struct buf host, path, url, authorization;
	char date[SIGV4_DATE_CAP];
	struct buf fields[FIELDS_MAX];
	const char *texts[FIELDS_MAX];
	size_t n;
};

static void init(struct sending *x)
{
	struct buf *all[] = {&x->host, &x->path, &x->url, &x->authorization};

	*x = (struct sending){0};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		buf_init(all[i], S3_URL_MAX);
	for (size_t i = 0; i < FIELDS_MAX; i++)
		buf_init(&x->fields[i], S3_URL_MAX);
}

static void fini(struct sending *x)
{
	struct buf *all[] = {&x->host, &x->path, &x->url, &x->authorization};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		buf_fini(all[i]);
	for (size_t i = 0; i < FIELDS_MAX; i++)
		buf_fini(&x->fields[i]);
}

static int add_field(struct sending *x, const char *name, const char *value)
{
	struct buf *b = &x->fields[x->n];

	assert(x->n < FIELDS_MAX);
	buf_printf(b, "%s: %s", name, value);
	x->texts[x->n++] = buf_str(b);
	return buf_err(b);
}

static int sign(const struct upload_s3 *s3, const struct s3_call *call,
		struct sending *x)
{
	const struct sigv4_key key = s3_key(s3);
	struct sigv4_request r = {.method = call->method,
				  .query = call->query,
				  .n_query = call->n_query,
				  .headers = call->headers,
				  .n_headers = call->n_headers,
				  .unix_s = clock_unix_ms() / 1000};
	int err;

	s3_write_host(s3, &x->host);
	s3_write_path(s3, call->name, &x->path);
	s3_write_origin(s3, &x->url);
	err = buf_err(&x->host) ? buf_err(&x->host) : buf_err(&x->path);
	if (err)
		return err;
	r.host = buf_str(&x->host);
	r.path = buf_str(&x->path);
	sigv4_date(r.unix_s, x->date);
	err = sigv4_target(&r, &x->url);
	if (!err)
		err = sigv4_authorize(&key, &r, call->sha256,
				      &x->authorization);
	return err;
}

static int prepare(const struct upload_s3 *s3, const struct s3_call *call,
		   struct sending *x)
{
	int err = sign(s3, call, x);

	if (!err)
		err = add_field(x, "Host", buf_str(&x->host));
	if (!err)
		err = add_field(x, "x-amz-date", x->date);
	if (!err)
		err = add_field(x, "x-amz-content-sha256", call->sha256);
	if (!err)
		err = add_field(x, "Authorization", buf_str(&x->authorization));
	for (size_t i = 0; !err && i < call->n_headers; i++)
		err = add_field(x, call->headers[i].name,
				call->headers[i].value);
	return err;
}

/** What was asked stands behind the cause, for it may be long and get cut. */
static void write_what(const struct upload_storage *s,
		       const struct s3_call *call, char *out, size_t cap)
{
	snprintf(out, cap, "%s %.63s%s%.120s%.150s", call->method,
		 s->place->s3.bucket, call->name ? "/" : "",
		 call->name ? s->place->s3.prefix : "",
		 call->name ? call->name : "");
}

int s3_send(struct upload_storage *s, const struct s3_call *call,
	    struct buf *answer, struct err *err)
{
	struct http_call http = {.method = call->method,
				 .body = call->body,
				 .body_len = call->body_len,
				 .timeout_us = call->timeout_us};
	struct sending x;
	struct err why = {0};
	char what[WHAT_CAP];
	int status = 0;
	int code;

	write_what(s, call, what, sizeof(what));
	if (!http.timeout_us)
		http.timeout_us =
			s->config->stall_us ? s->config->stall_us : STALL_US;
	init(&x);
	code = prepare(&s->place->s3, call, &x);
	if (code) {
		storage_fail(err, code, "cannot sign", what);
		goto out;
	}
	http.url = buf_str(&x.url);
	http.fields = x.texts;
	http.n_fields = x.n;
	code = http_session_send(s->session, &http, call->file, &status, answer,
				 &why);
	if (code)
		err_set(err, code, "storage", "%.200s (%s)", why.text, what);
	else
		code = s3_answer_error(s, call, status, answer, err);
out:
	fini(&x);
	return code;
}

/* ---- what an answer means -------------------------------------------------- */

/* Source: "Error responses", Amazon S3 API Reference. */
static int errno_of_code(const char *code)
{
	static const struct {
		const char *code;
		int err;
	} codes[] = {
		{"RequestTimeTooSkewed", ETIME},
		{"NoSuchBucket", ENXIO},
		{"NoSuchUpload", ESTALE},
		{"InvalidPart", ESTALE},
		{"InvalidPartOrder", ESTALE},
		{"BadDigest", EILSEQ},
		{"InvalidDigest", EILSEQ},
		{"XAmzContentSHA256Mismatch", EILSEQ},
		{"XAmzContentChecksumMismatch", EILSEQ},
		{"SlowDown", EAGAIN},
		{"RequestTimeout", EAGAIN},
		{"OperationAborted", EAGAIN},
		{"QuotaExceeded", ENOSPC},
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (!strcmp(codes[i].code, code))
			return codes[i].err;
	}
	return 0;
}

static int errno_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 408:
	case 429:
	case 503:
	case 504:
		return EAGAIN;
	case 405:
	case 501:
		return EOPNOTSUPP;
	case 507:
		return ENOSPC;
	default:
		return EIO;
	}
}

/** The answer to HEAD has no body: its date tells. */
static bool is_skewed(struct upload_storage *s, int64_t *skew_s)
{
	const int64_t date = http_session_date(s->session);

	*skew_s = date < 0 ? 0 : clock_unix_ms() / 1000 - date;
	return *skew_s > SKEW_MAX_S || *skew_s < -SKEW_MAX_S;
}

/** One line, without what must not be shown. */
static void clean(const struct upload_s3 *s3, char *text, size_t cap)
{
	char line[CODE_CAP + MESSAGE_CAP];

	if (strstr(text, s3->secret_key) || strstr(text, s3->access_key))
		*text = 0;
	quote_line(line, sizeof(line), text);
	str_copy(text, cap, line);
}

int s3_answer_error(struct upload_storage *s, const struct s3_call *call,
		    int status, const struct buf *answer, struct err *err)
{
	const struct xml x = s3_xml(answer);
	const bool is_error = xml_is(x, "Error");
	char code[CODE_CAP] = "", message[MESSAGE_CAP] = "", what[WHAT_CAP];
	int64_t skew_s = 0;
	int e;

	if (status >= 200 && status < 300 && !is_error)
		return 0;
	if (is_error) {
		xml_find(x, "Code", code, sizeof(code));
		xml_find(x, "Message", message, sizeof(message));
		clean(&s->place->s3, code, sizeof(code));
		clean(&s->place->s3, message, sizeof(message));
	}
	e = errno_of_code(code);
	if (!e)
		e = errno_of_status(status);
	if (e == EACCES && !code[0] && is_skewed(s, &skew_s))
		e = ETIME;
	write_what(s, call, what, sizeof(what));
	if (skew_s)
		return err_set(err, e, "storage",
			       "status %d: this clock is %" PRId64
			       " s %s that of the store (%s)",
			       status, skew_s < 0 ? -skew_s : skew_s,
			       skew_s < 0 ? "behind" : "before", what);
	return err_set(err, e, "storage", "status %d%s%s%s%s (%s)", status,
		       code[0] ? " " : "", code, message[0] ? ": " : "",
		       message, what);
}

/* ---- checksums ------------------------------------------------------------- */

void s3_header_md5(struct s3_call *c, const struct file_digest *d,
		   char base64[SIG_BASE64_CAP(16)])
{
	if (!d->has_md5)
		return;
	sig_base64(d->md5, sizeof(d->md5), base64);
	s3_header(c, "content-md5", base64);
}

struct xml s3_xml(const struct buf *answer)
{
	const char *text = buf_str(answer);

	return (struct xml){text, text + answer->len};
}

void s3_md5_hex(const struct file_digest *d, char out[33])
{
	if (d->has_md5)
		sig_hex(d->md5, sizeof(d->md5), out);
	else
		*out = 0;
}

void s3_etag(struct upload_storage *s, char out[S3_ETAG_CAP])
{
	const char *etag = http_session_field(s->session, "ETag");
	size_t len;

	*out = 0;
	if (!etag)
		return;
	etag += *etag == '"';
	len = strcspn(etag, "\"");
	if (len >= S3_ETAG_CAP ||
	    strspn(etag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789-_.+/=") < len)
		return;
	memcpy(out, etag, len);
	out[len] = 0;
}

/** 32 hex digits, and behind them nothing or "-N". */
static bool is_md5(const char *etag)
{
	const size_t n = strspn(etag, "0123456789abcdefABCDEF");

	return n == 32 && (!etag[n] || etag[n] == '-');
}

bool s3_etag_fits(struct upload_storage *s, const char *etag)
{
	const char *sse =
		http_session_field(s->session, "x-amz-server-side-encryption");
	const char *own = http_session_field(
		s->session, "x-amz-server-side-encryption-customer-algorithm");
	char got[S3_ETAG_CAP] = "";

	s3_etag(s, got);
	if (!is_md5(got) || !*etag || own ||
	    (sse && strcmp(sse, "AES256") != 0))
		return true;
	/* Of other parts than ours: nothing to compare. */
	if (strcmp(got + 32, etag + 32) != 0)
		return true;
	return !strcasecmp(got, etag);
}

const char *s3_content_type(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (dot && !strcmp(dot, ".mp3"))
		return "audio/mpeg";
	if (dot && !strcmp(dot, ".ogg"))
		return "audio/ogg";
	return dot && !strcmp(dot, ".json") ? "application/json"
					    : "application/octet-stream";
}
