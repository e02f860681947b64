/** wire/sigv4.c -- sign requests to S3, as a client (AWS Signature V4). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sigv4.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/quote.h"
#include "wire/sig.h"

#define ALGORITHM   "AWS4-HMAC-SHA256"
#define NAME_CHARS  "abcdefghijklmnopqrstuvwxyz0123456789-_"
#define UPPER_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum {
	OWN_MAX = 6,	    /* pairs that we add ourselves */
	TEXT_MAX = 1 << 16, /* canonical request [bytes] */
	DAY_LEN = 8,	    /* of "20130524T..." */
	SCOPE_CAP = 256,
	REGION_MAX = 64
};

/** Pairs in the order in which they are signed. */
struct list {
	struct sigv4_pair pair[SIGV4_PAIRS_MAX + OWN_MAX];
	size_t n;
};

/** What a signature is made of, beside the key. */
struct signing {
	char date[SIGV4_DATE_CAP];
	char day[DAY_LEN + 1];
	char scope[SCOPE_CAP]; /* "20130524/us-east-1/s3/aws4_request" */
	struct list query;
	struct list headers;
	const char *payload;
};

typedef int(compare_fn)(const struct sigv4_pair *a, const struct sigv4_pair *b);

static int compare_query(const struct sigv4_pair *a, const struct sigv4_pair *b)
{
	int order = quote_percent_compare(a->name, b->name);

	return order ? order : quote_percent_compare(a->value, b->value);
}

static int compare_headers(const struct sigv4_pair *a,
			   const struct sigv4_pair *b)
{
	return strcasecmp(a->name, b->name);
}

static void insert(struct list *l, struct sigv4_pair p, compare_fn *compare)
{
	size_t at = l->n++;

	assert(l->n <= ARRAY_LEN(l->pair));
	for (; at > 0 && compare(&l->pair[at - 1], &p) > 0; at--)
		l->pair[at] = l->pair[at - 1];
	l->pair[at] = p;
}

static void add_query(struct list *l, const char *name, const char *value)
{
	insert(l, (struct sigv4_pair){name, value}, compare_query);
}

static bool is_header(const struct sigv4_pair *p)
{
	size_t len = strlen(p->name);

	return len && strspn(p->name, NAME_CHARS UPPER_CHARS) == len &&
	       strcasecmp(p->name, "authorization") != 0 &&
	       str_is_clean_utf8(p->value, strlen(p->value));
}

/** Returns 0, or EINVAL: no header, or there twice. */
static int add_header(struct list *l, const char *name, const char *value)
{
	struct sigv4_pair p = {name, value};

	if (!is_header(&p))
		return EINVAL;
	for (size_t i = 0; i < l->n; i++)
		if (!strcasecmp(l->pair[i].name, name))
			return EINVAL;
	insert(l, p, compare_headers);
	return 0;
}

static void put_query(struct buf *out, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			buf_putc(out, '&');
		quote_percent(out, l->pair[i].name);
		buf_putc(out, '=');
		quote_percent(out, l->pair[i].value);
	}
}

static void put_lower(struct buf *out, const char *s)
{
	for (; *s; s++)
		buf_putc(out, *s >= 'A' && *s <= 'Z' ? (char)(*s + 32) : *s);
}

/** Without spaces around it; of several in a row, one. */
static void put_value(struct buf *out, const char *s)
{
	bool space = false;

	for (s += strspn(s, " "); *s; s++) {
		if (*s == ' ') {
			space = true;
			continue;
		}
		if (space)
			buf_putc(out, ' ');
		space = false;
		buf_putc(out, *s);
	}
}

/** "host;range;x-amz-date" */
static void put_names(struct buf *out, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			buf_putc(out, ';');
		put_lower(out, l->pair[i].name);
	}
}

static void put_canonical(struct buf *out, const struct sigv4_request *r,
			  const struct signing *s)
{
	buf_printf(out, "%s\n", r->method);
	quote_percent_path(out, r->path);
	buf_putc(out, '\n');
	put_query(out, &s->query);
	buf_putc(out, '\n');
	for (size_t i = 0; i < s->headers.n; i++) {
		put_lower(out, s->headers.pair[i].name);
		buf_putc(out, ':');
		put_value(out, s->headers.pair[i].value);
		buf_putc(out, '\n');
	}
	buf_putc(out, '\n');
	put_names(out, &s->headers);
	buf_printf(out, "\n%s", s->payload);
}

static int sign_text(const struct sigv4_key *k, const struct signing *s,
		     const char *text, char hex[SIG_HEX_CAP(SIG_SHA256_LEN)])
{
	const char *const steps[] = {s->day, k->region, "s3", "aws4_request",
				     text};
	uint8_t mac[SIG_SHA256_LEN];
	int err =
		sig_hmac_chain("AWS4", k->secret, steps, ARRAY_LEN(steps), mac);

	if (!err)
		sig_hex(mac, sizeof(mac), hex);
	return err;
}

static int sign(const struct sigv4_key *k, const struct sigv4_request *r,
		const struct signing *s, char hex[SIG_HEX_CAP(SIG_SHA256_LEN)])
{
	char hash[SIG_HEX_CAP(SIG_SHA256_LEN)];
	char text[SCOPE_CAP + 128];
	struct buf canonical;
	int err;

	/* It may hold the token of temporary credentials. */
	buf_init_secret(&canonical, TEXT_MAX);
	put_canonical(&canonical, r, s);
	err = buf_err(&canonical);
	if (!err)
		err = sig_sha256_hex(canonical.data, canonical.len, hash);
	buf_fini(&canonical);
	if (err)
		return err;
	snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s\n%s", s->date,
		 s->scope, hash);
	return sign_text(k, s, text, hex);
}

static bool is_key(const struct sigv4_key *k)
{
	size_t region_len = strlen(k->region);

	return k->id[0] && !strpbrk(k->id, "/, ") &&
	       str_is_clean_utf8(k->id, strlen(k->id)) && region_len &&
	       region_len <= REGION_MAX &&
	       strspn(k->region, NAME_CHARS UPPER_CHARS ".") == region_len;
}

static int list_query(const struct sigv4_request *r, struct list *l)
{
	if (r->path[0] != '/')
		return EINVAL;
	if (r->n_query > SIGV4_PAIRS_MAX)
		return EMSGSIZE;
	for (size_t i = 0; i < r->n_query; i++)
		add_query(l, r->query[i].name, r->query[i].value);
	return 0;
}

/** Everything but our own headers and parameters. */
static int start(const struct sigv4_key *k, const struct sigv4_request *r,
		 const char *payload, struct signing *s)
{
	int err;

	*s = (struct signing){.payload = payload};
	if (!is_key(k) || !r->method[0] ||
	    strspn(r->method, UPPER_CHARS) != strlen(r->method) || !r->host[0])
		return EINVAL;
	if (r->n_headers > SIGV4_PAIRS_MAX)
		return EMSGSIZE;
	sigv4_date(r->unix_s, s->date);
	memcpy(s->day, s->date, DAY_LEN);
	snprintf(s->scope, sizeof(s->scope), "%s/%s/s3/aws4_request", s->day,
		 k->region);
	err = list_query(r, &s->query);
	if (!err)
		err = add_header(&s->headers, "host", r->host);
	for (size_t i = 0; i < r->n_headers && !err; i++)
		err = add_header(&s->headers, r->headers[i].name,
				 r->headers[i].value);
	return err;
}

static bool is_payload(const char *s)
{
	return !strcmp(s, SIGV4_UNSIGNED) ||
	       (strlen(s) == 2 * SIG_SHA256_LEN &&
		strspn(s, "0123456789abcdef") == 2 * SIG_SHA256_LEN);
}

void sigv4_date(int64_t unix_s, char out[SIGV4_DATE_CAP])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	assert(unix_s >= 0 && unix_s <= CLOCK_UNIX_S_MAX);
	gmtime_r(&t, &tm);
	strftime(out, SIGV4_DATE_CAP, "%Y%m%dT%H%M%SZ", &tm);
}

int sigv4_target(const struct sigv4_request *r, struct buf *out)
{
	struct list query = {0};
	int err = list_query(r, &query);

	if (err)
		return err;
	quote_percent_path(out, r->path);
	if (query.n)
		buf_putc(out, '?');
	put_query(out, &query);
	return buf_err(out);
}

int sigv4_authorize(const struct sigv4_key *k, const struct sigv4_request *r,
		    const char *payload, struct buf *out)
{
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];
	struct signing s;
	int err = start(k, r, payload, &s);

	if (!err && !is_payload(payload))
		err = EINVAL;
	if (!err)
		err = add_header(&s.headers, "x-amz-content-sha256", payload);
	if (!err)
		err = add_header(&s.headers, "x-amz-date", s.date);
	if (!err && k->token)
		err = add_header(&s.headers, "x-amz-security-token", k->token);
	if (!err)
		err = sign(k, r, &s, hex);
	if (err)
		return err;
	buf_printf(out, ALGORITHM " Credential=%s/%s, SignedHeaders=", k->id,
		   s.scope);
	put_names(out, &s.headers);
	buf_printf(out, ", Signature=%s", hex);
	return buf_err(out);
}

/** The id and scope, and the names of the headers, as parameters have them. */
static int put_own(const struct sigv4_key *k, const struct signing *s,
		   struct buf *credential, struct buf *names)
{
	buf_printf(credential, "%s/%s", k->id, s->scope);
	put_names(names, &s->headers);
	return buf_err(credential) ? buf_err(credential) : buf_err(names);
}

static bool has_own_names(const struct sigv4_request *r)
{
	for (size_t i = 0; i < r->n_query; i++)
		if (!strncasecmp(r->query[i].name, "X-Amz-", 6))
			return true;
	return false;
}

int sigv4_presign(const struct sigv4_key *k, const struct sigv4_request *r,
		  int64_t expires_s, struct buf *out)
{
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];
	char expires[24];
	struct buf credential, names;
	struct signing s;
	int err = start(k, r, SIGV4_UNSIGNED, &s);

	if (!err && (has_own_names(r) || expires_s < 1 ||
		     expires_s > SIGV4_EXPIRES_MAX_S))
		err = EINVAL;
	if (err)
		return err;
	buf_init(&credential, TEXT_MAX);
	buf_init(&names, TEXT_MAX);
	err = put_own(k, &s, &credential, &names);
	if (err)
		goto out;
	snprintf(expires, sizeof(expires), "%" PRId64, expires_s);
	add_query(&s.query, "X-Amz-Algorithm", ALGORITHM);
	add_query(&s.query, "X-Amz-Credential", buf_str(&credential));
	add_query(&s.query, "X-Amz-Date", s.date);
	add_query(&s.query, "X-Amz-Expires", expires);
	add_query(&s.query, "X-Amz-SignedHeaders", buf_str(&names));
	if (k->token)
		add_query(&s.query, "X-Amz-Security-Token", k->token);
	err = sign(k, r, &s, hex);
	if (err)
		goto out;
	put_query(out, &s.query);
	buf_printf(out, "&X-Amz-Signature=%s", hex);
	err = buf_err(out);
out:
	buf_fini(&names);
	buf_fini(&credential);
	return err;
}
