/** wire/tc3_v1.c -- signatures v1 of the Tencent Cloud API, in parameters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/tc3_inside.h"

/* "POST: 1 MB" for v1, and room for what stands before the parameters */
enum { TEXT_MAX = 1024 * 1024 + 4096 };

/** Parameters in the order in which they are signed. */
struct sorted {
	const struct tc3_parameter *parameter[TC3_PARAMETERS_MAX];
	size_t n;
};

static int compare(const void *a, const void *b)
{
	const struct tc3_parameter *const *x = a;
	const struct tc3_parameter *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static enum tc3_fault sort(const struct tc3_v1_request *r, struct sorted *s)
{
	if (r->n > TC3_PARAMETERS_MAX)
		return TC3_V1_PARAMETERS_TOO_MANY;
	for (s->n = 0; s->n < r->n; s->n++)
		s->parameter[s->n] = &r->parameters[s->n];
	qsort(s->parameter, s->n, sizeof(s->parameter[0]), compare);
	/* Two readers could take different ones. */
	for (size_t i = 1; i < s->n; i++)
		if (!compare(&s->parameter[i - 1], &s->parameter[i]))
			return TC3_V1_PARAMETER_TWICE;
	return TC3_OK;
}

/** Returns NULL when it is not there, or "". */
static const char *find(const struct tc3_v1_request *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->parameters[i].name, name))
			return r->parameters[i].value[0]
				       ? r->parameters[i].value
				       : NULL;
	return NULL;
}

static enum tc3_fault read_method(const char *method, struct tc3_v1_auth *a)
{
	a->is_sha256 = method && !strcmp(method, "HmacSHA256");
	if (method && !a->is_sha256 && strcmp(method, "HmacSHA1") != 0)
		return TC3_V1_METHOD_UNKNOWN;
	return TC3_OK;
}

static enum tc3_fault read_signature(const char *text, struct tc3_v1_auth *a)
{
	size_t want = a->is_sha256 ? SIG_SHA256_LEN : SIG_SHA1_LEN;

	if (!text)
		return TC3_V1_SIGNATURE_MISSING;
	if (sig_base64_parse(text, a->signature, sizeof(a->signature),
			     &a->signature_len) ||
	    a->signature_len != want)
		return TC3_V1_SIGNATURE_MALFORMED;
	return TC3_OK;
}

static enum tc3_fault read_id(const char *id, struct tc3_v1_auth *a)
{
	if (!id)
		return TC3_V1_SECRET_ID_MISSING;
	if (!tc3_copy_id((struct tc3_slice){id, strlen(id)}, a->secret_id))
		return TC3_SECRET_ID_MALFORMED;
	return TC3_OK;
}

enum tc3_fault tc3_v1_parse(const struct tc3_v1_request *r,
			    struct tc3_v1_auth *auth)
{
	struct tc3_v1_auth a = {0};
	struct sorted sorted;
	enum tc3_fault f = sort(r, &sorted);

	if (!f)
		f = read_id(find(r, "SecretId"), &a);
	if (!f)
		f = tc3_read_timestamp(find(r, "Timestamp"), &a.timestamp_s);
	if (!f && !find(r, "Nonce"))
		f = TC3_V1_NONCE_MISSING;
	if (!f)
		f = read_method(find(r, "SignatureMethod"), &a);
	if (!f)
		f = read_signature(find(r, "Signature"), &a);
	if (!f)
		*auth = a;
	return f;
}

/** "POSThost/?A=1&B=2" */
static int write_text(const struct tc3_v1_request *r, const struct sorted *s,
		      size_t host_len, struct buf *out)
{
	char mark = '?';

	buf_puts(out, r->method);
	buf_append(out, r->host, host_len);
	buf_puts(out, r->path[0] ? r->path : "/");
	for (size_t i = 0; i < s->n; i++) {
		const struct tc3_parameter *p = s->parameter[i];

		if (!strcmp(p->name, "Signature"))
			continue;
		buf_printf(out, "%c%s=", mark, p->name);
		buf_puts(out, p->value);
		mark = '&';
	}
	return buf_err(out);
}

static int sign(const struct tc3_v1_request *r, const struct sorted *s,
		size_t host_len, const char *key, bool is_sha256,
		uint8_t mac[SIG_SHA256_LEN])
{
	struct buf text;
	int err;

	buf_init(&text, TEXT_MAX);
	err = write_text(r, s, host_len, &text);
	if (!err && is_sha256)
		err = sig_hmac_sha256(key, strlen(key), text.data, text.len,
				      mac);
	else if (!err)
		err = sig_hmac_sha1(key, strlen(key), text.data, text.len, mac);
	buf_fini(&text);
	return err;
}

enum tc3_fault tc3_v1_verify(const struct tc3_v1_request *r,
			     const struct tc3_v1_auth *auth,
			     const char *secret_key)
{
	/* Some sign the host with its port, some without it. */
	const size_t host_len[] = {strlen(r->host), tc3_host_len(r->host)};
	const size_t n_hosts = host_len[0] == host_len[1] ? 1 : 2;
	struct sorted sorted;
	enum tc3_fault f = tc3_check_window(auth->timestamp_s, r->now_unix_s);

	if (!f && !secret_key[0])
		f = TC3_SIGNATURE_WRONG;
	if (!f)
		f = sort(r, &sorted);
	for (size_t i = 0; i < n_hosts && !f; i++) {
		uint8_t mac[SIG_SHA256_LEN];
		int err = sign(r, &sorted, host_len[i], secret_key,
			       auth->is_sha256, mac);

		if (!err &&
		    sig_is_equal(mac, auth->signature, auth->signature_len))
			return TC3_OK;
		f = tc3_fault_of(err);
	}
	return f ? f : TC3_SIGNATURE_WRONG;
}

int tc3_v1_sign(const struct tc3_v1_request *r, const char *secret_key,
		bool is_sha256, char out[TC3_V1_SIGNATURE_CAP])
{
	uint8_t mac[SIG_SHA256_LEN];
	struct sorted sorted;
	int err;

	if (sort(r, &sorted))
		return EINVAL;
	err = sign(r, &sorted, strlen(r->host), secret_key, is_sha256, mac);
	if (!err)
		sig_base64(mac, is_sha256 ? SIG_SHA256_LEN : SIG_SHA1_LEN, out);
	return err;
}
