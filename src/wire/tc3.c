/** wire/tc3.c -- signatures v3 of the Tencent Cloud API: TC3-HMAC-SHA256. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tc3.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire/tc3_inside.h"

#define ALGORITHM     "TC3-HMAC-SHA256"
#define UNSIGNED      "UNSIGNED-PAYLOAD"
#define DIGITS	      "0123456789"
#define LOWER	      "abcdefghijklmnopqrstuvwxyz"
#define SERVICE_CHARS LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_:"

enum {
	SIGNATURE_LEN = 2 * SIG_SHA256_LEN, /* [hex digits] */
	/* "GET 32 KB" for the query, and room for headers */
	CANONICAL_MAX = 96 * 1024,
	TEXT_CAP = 256
};

/** The parts of Authorization; they may come in any order. */
enum part { PART_CREDENTIAL, PART_SIGNED_HEADERS, PART_SIGNATURE, PARTS };

static const char *const part_names[PARTS] = {
	[PART_CREDENTIAL] = "Credential=",
	[PART_SIGNED_HEADERS] = "SignedHeaders=",
	[PART_SIGNATURE] = "Signature=",
};

static const enum tc3_fault part_missing[PARTS] = {
	[PART_CREDENTIAL] = TC3_CREDENTIAL_MISSING,
	[PART_SIGNED_HEADERS] = TC3_SIGNED_HEADERS_MISSING,
	[PART_SIGNATURE] = TC3_SIGNATURE_MISSING,
};

static struct tc3_slice trim(struct tc3_slice s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/** Take what stands before `c` off the front; without a `c`, all of it. */
static struct tc3_slice cut(struct tc3_slice *s, char c)
{
	const char *end = memchr(s->at, c, s->len);
	struct tc3_slice one = {s->at, end ? (size_t)(end - s->at) : s->len};

	s->at += one.len + (end ? 1 : 0);
	s->len -= one.len + (end ? 1 : 0);
	return one;
}

static bool is_word(struct tc3_slice s, const char *word)
{
	return s.len == strlen(word) && !memcmp(s.at, word, s.len);
}

static enum tc3_fault take_part(struct tc3_slice one,
				struct tc3_slice part[PARTS])
{
	for (int i = 0; i < PARTS; i++) {
		size_t len = strlen(part_names[i]);

		if (one.len < len || memcmp(one.at, part_names[i], len) != 0)
			continue;
		if (part[i].at)
			return TC3_PART_TWICE;
		part[i] = (struct tc3_slice){one.at + len, one.len - len};
		return TC3_OK;
	}
	return TC3_PART_UNKNOWN;
}

static enum tc3_fault split_parts(const char *authorization,
				  struct tc3_slice part[PARTS])
{
	size_t len = strlen(ALGORITHM);
	struct tc3_slice all = {authorization, strlen(authorization)};

	if (strncmp(authorization, ALGORITHM, len) != 0 || all.at[len] != ' ')
		return TC3_ALGORITHM_UNKNOWN;
	all = trim((struct tc3_slice){all.at + len, all.len - len});
	while (all.len) {
		enum tc3_fault f = take_part(trim(cut(&all, ',')), part);

		if (f)
			return f;
	}
	for (int i = 0; i < PARTS; i++)
		if (!part[i].at)
			return part_missing[i];
	return TC3_OK;
}

static bool is_date(struct tc3_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (i == 4 || i == 7 ? s.at[i] != '-'
				     : s.at[i] < '0' || s.at[i] > '9')
			return false;
	return s.len == TC3_DATE_LEN;
}

static enum tc3_fault read_credential(struct tc3_slice s, struct tc3_auth *a)
{
	struct tc3_slice id = cut(&s, '/');
	struct tc3_slice date = cut(&s, '/');
	struct tc3_slice service = cut(&s, '/');

	if (!is_word(s, "tc3_request"))
		return TC3_CREDENTIAL_MALFORMED;
	if (!tc3_copy_id(id, a->secret_id))
		return TC3_SECRET_ID_MALFORMED;
	if (!is_date(date) ||
	    !tc3_copy_word(date, DIGITS "-", a->date, sizeof(a->date)))
		return TC3_DATE_MALFORMED;
	if (!tc3_copy_word(service, SERVICE_CHARS, a->service,
			   sizeof(a->service)))
		return TC3_SERVICE_MALFORMED;
	return TC3_OK;
}

static enum tc3_fault read_signed_headers(struct tc3_slice s,
					  struct tc3_auth *a)
{
	bool has_type = false;
	bool has_host = false;

	if (!tc3_copy_word(s, LOWER DIGITS "-_;", a->signed_headers,
			   sizeof(a->signed_headers)) ||
	    s.at[s.len - 1] == ';')
		return TC3_SIGNED_HEADERS_MALFORMED;
	while (s.len) {
		struct tc3_slice name = cut(&s, ';');

		if (!name.len)
			return TC3_SIGNED_HEADERS_MALFORMED;
		has_type |= is_word(name, "content-type");
		has_host |= is_word(name, "host");
	}
	if (!has_type)
		return TC3_CONTENT_TYPE_UNSIGNED;
	return has_host ? TC3_OK : TC3_HOST_UNSIGNED;
}

static enum tc3_fault read_signature(struct tc3_slice s, struct tc3_auth *a)
{
	char hex[SIGNATURE_LEN + 1];

	if (!tc3_copy_word(s, DIGITS "abcdefABCDEF", hex, sizeof(hex)) ||
	    sig_hex_parse(hex, a->signature, sizeof(a->signature)))
		return TC3_SIGNATURE_MALFORMED;
	return TC3_OK;
}

static enum tc3_fault read_authorization(const char *text, struct tc3_auth *a)
{
	struct tc3_slice part[PARTS] = {{0}};
	enum tc3_fault f;

	if (!text || !text[0])
		return TC3_AUTHORIZATION_MISSING;
	if (strlen(text) > TC3_AUTHORIZATION_MAX)
		return TC3_AUTHORIZATION_TOO_LONG;
	f = split_parts(text, part);
	if (!f)
		f = read_credential(part[PART_CREDENTIAL], a);
	if (!f)
		f = read_signed_headers(part[PART_SIGNED_HEADERS], a);
	if (!f)
		f = read_signature(part[PART_SIGNATURE], a);
	return f;
}

enum tc3_fault tc3_parse(const struct tc3_request *r, struct tc3_auth *auth)
{
	struct tc3_auth a = {0};
	const char *timestamp;
	enum tc3_fault f = read_authorization(
		r->header("authorization", r->header_arg), &a);

	if (f)
		return f;
	timestamp = r->header("x-tc-timestamp", r->header_arg);
	f = tc3_read_timestamp(timestamp, &a.timestamp_s);
	if (f)
		return f;
	snprintf(a.timestamp, sizeof(a.timestamp), "%s", timestamp);
	*auth = a;
	return TC3_OK;
}

/** What clients do differently. */
struct habit {
	bool is_lower;	   /* values of headers in lower case */
	bool is_bare_host; /* the host without its port */
};

static void put_value(struct buf *out, struct tc3_slice s, bool is_lower)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		buf_putc(out,
			 is_lower && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
}

/** Returns 0, or ENOENT: the request has no such header. */
static int put_header(struct buf *out, const struct tc3_request *r,
		      const char *name, struct habit h)
{
	const char *text = r->header(name, r->header_arg);
	struct tc3_slice value;

	if (!text)
		return ENOENT;
	value = trim((struct tc3_slice){text, strlen(text)});
	if (h.is_bare_host && !strcmp(name, "host")) {
		size_t len = tc3_host_len(value.at);

		value.len = len < value.len ? len : value.len;
	}
	buf_printf(out, "%s:", name);
	put_value(out, value, h.is_lower);
	buf_putc(out, '\n');
	return 0;
}

static int put_headers(struct buf *out, const struct tc3_request *r,
		       const char *names, struct habit h)
{
	char list[TC3_SIGNED_HEADERS_MAX + 1];
	char *rest;
	int err = 0;

	snprintf(list, sizeof(list), "%s", names);
	for (char *name = strtok_r(list, ";", &rest); name && !err;
	     name = strtok_r(NULL, ";", &rest))
		err = put_header(out, r, name, h);
	return err;
}

/** The hash of the canonical request. */
static int hash_request(const struct tc3_request *r, const struct tc3_auth *a,
			const char *body_hash, struct habit h,
			char hex[SIG_HEX_CAP(SIG_SHA256_LEN)])
{
	struct buf b;
	int err;

	buf_init(&b, CANONICAL_MAX);
	buf_printf(&b, "%s\n%s\n%s\n", r->method, r->path[0] ? r->path : "/",
		   r->query);
	err = put_headers(&b, r, a->signed_headers, h);
	buf_printf(&b, "\n%s\n%s", a->signed_headers, body_hash);
	if (!err)
		err = buf_err(&b);
	if (!err)
		err = sig_sha256_hex(b.data, b.len, hex);
	buf_fini(&b);
	return err;
}

static int sign(const struct tc3_request *r, const struct tc3_auth *a,
		const char *body_hash, struct habit h, const char *secret_key,
		uint8_t mac[SIG_SHA256_LEN])
{
	char hash[SIG_HEX_CAP(SIG_SHA256_LEN)];
	char text[TEXT_CAP];
	const char *const steps[] = {a->date, a->service, "tc3_request", text};
	int err = hash_request(r, a, body_hash, h, hash);

	if (err)
		return err;
	snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s/%s/tc3_request\n%s",
		 a->timestamp, a->date, a->service, hash);
	return sig_hmac_chain("TC3", secret_key, steps, ARRAY_LEN(steps), mac);
}

static int hash_body(const struct tc3_request *r,
		     char hex[SIG_HEX_CAP(SIG_SHA256_LEN)])
{
	const char *said = r->header("x-tc-content-sha256", r->header_arg);

	if (said && !strcmp(said, UNSIGNED))
		return sig_sha256_hex(UNSIGNED, strlen(UNSIGNED), hex);
	return sig_sha256_hex(r->body, r->len, hex);
}

static void write_date(int64_t unix_s, char out[TC3_DATE_LEN + 1])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, TC3_DATE_LEN + 1, "%Y-%m-%d", &tm);
}

static enum tc3_fault check_time(const struct tc3_request *r,
				 const struct tc3_auth *a)
{
	char date[TC3_DATE_LEN + 1];

	write_date(a->timestamp_s, date);
	if (strcmp(date, a->date) != 0)
		return TC3_DATE_OTHER;
	return tc3_check_window(a->timestamp_s, r->now_unix_s);
}

enum tc3_fault tc3_verify(const struct tc3_request *r,
			  const struct tc3_auth *auth, const char *secret_key)
{
	static const struct habit habits[] = {
		{false, false}, {true, false}, {false, true}, {true, true}};
	const char *host = r->header("host", r->header_arg);
	/* a host without a port has no second form */
	const bool has_port = host && host[tc3_host_len(host)];
	const size_t n_habits = ARRAY_LEN(habits) / (has_port ? 1 : 2);
	char body_hash[SIG_HEX_CAP(SIG_SHA256_LEN)];
	enum tc3_fault f = check_time(r, auth);

	if (!f && !secret_key[0])
		f = TC3_SIGNATURE_WRONG;
	if (!f)
		f = tc3_fault_of(hash_body(r, body_hash));
	for (size_t i = 0; i < n_habits && !f; i++) {
		uint8_t mac[SIG_SHA256_LEN];
		int err = sign(r, auth, body_hash, habits[i], secret_key, mac);

		if (!err && sig_is_equal(mac, auth->signature, sizeof(mac)))
			return TC3_OK;
		f = err == ENOENT ? TC3_HEADER_MISSING : tc3_fault_of(err);
	}
	return f ? f : TC3_SIGNATURE_WRONG;
}

static int fill_auth(const struct tc3_request *r, const struct tc3_signer *s,
		     struct tc3_auth *a)
{
	struct tc3_slice id = {s->secret_id, strlen(s->secret_id)};
	struct tc3_slice service = {s->service, strlen(s->service)};
	struct tc3_slice headers = {s->signed_headers,
				    strlen(s->signed_headers)};

	*a = (struct tc3_auth){.timestamp_s = r->now_unix_s};
	snprintf(a->timestamp, sizeof(a->timestamp), "%lld",
		 (long long)r->now_unix_s);
	if (tc3_read_timestamp(a->timestamp, &a->timestamp_s) ||
	    !tc3_copy_id(id, a->secret_id) ||
	    !tc3_copy_word(service, SERVICE_CHARS, a->service,
			   sizeof(a->service)) ||
	    read_signed_headers(headers, a))
		return EINVAL;
	write_date(a->timestamp_s, a->date);
	return 0;
}

int tc3_sign(const struct tc3_request *r, const struct tc3_signer *s,
	     struct buf *out)
{
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];
	uint8_t mac[SIG_SHA256_LEN];
	struct tc3_auth a;
	int err = fill_auth(r, s, &a);

	if (!err)
		err = hash_body(r, hex);
	if (!err)
		err = sign(r, &a, hex, (struct habit){0}, s->secret_key, mac);
	if (err)
		return err == ENOENT ? EINVAL : err;
	sig_hex(mac, sizeof(mac), hex);
	buf_printf(out,
		   ALGORITHM " Credential=%s/%s/%s/tc3_request, "
			     "SignedHeaders=%s, Signature=%s",
		   a.secret_id, a.date, a.service, a.signed_headers, hex);
	return buf_err(out);
}
