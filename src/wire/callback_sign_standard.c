/** wire/callback_sign_standard.c -- signatures of Standard Webhooks 1.0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/callback_inside.h"
#include "wire/sig.h"

enum {
	SECRET_MIN = 24, /* [bytes] */
	SECRET_MAX = 64,
	ID_TEXT_MAX = 256,
	LIST_MAX = 2048, /* of all signatures [bytes] */
	CONTENT_MAX = CALLBACK_BODY_MAX + 512
};

enum key_kind { KEY_BAD, KEY_SECRET, KEY_PRIVATE, KEY_PUBLIC };

/** A key as bytes; wiped by whoever read it. */
struct key {
	enum key_kind kind;
	uint8_t bytes[SECRET_MAX];
	size_t len;
};

static const struct {
	const char *prefix;
	enum key_kind kind;
} prefixes[] = {
	{"whsec_", KEY_SECRET},
	{"whsk_", KEY_PRIVATE},
	{"whpk_", KEY_PUBLIC},
};

static bool is_length_right(const struct key *k)
{
	switch (k->kind) {
	case KEY_SECRET:
		return k->len >= SECRET_MIN;
	case KEY_PRIVATE: /* a seed, or with its public key behind it */
		return k->len == SIG_ED25519_KEY_LEN ||
		       k->len == 2 * SIG_ED25519_KEY_LEN;
	default:
		return k->len == SIG_ED25519_KEY_LEN;
	}
}

static void read_key(const char *text, struct key *k)
{
	*k = (struct key){0};
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		const char *prefix = prefixes[i].prefix;

		if (!str_starts_with(text, prefix))
			continue;
		k->kind = prefixes[i].kind;
		if (sig_base64_parse(text + strlen(prefix), k->bytes,
				     sizeof(k->bytes), &k->len) ||
		    !is_length_right(k))
			k->kind = KEY_BAD;
	}
}

int callback_key_check(enum dialect d, const char *key, struct err *err)
{
	struct key k;
	bool ok;

	if (d != DIALECT_STANDARD)
		return 0;
	read_key(key, &k);
	ok = k.kind != KEY_BAD;
	OPENSSL_cleanse(&k, sizeof(k));
	if (ok)
		return 0;
	return err_set(
		err, EINVAL, "key",
		"dialect standard needs whsec_ and the base64 of 24 "
		"to 64 random bytes (make one: echo whsec_$(openssl rand "
		"-base64 32)), or an Ed25519 key as whsk_ or whpk_");
}

bool callback_key_signs(const char *key)
{
	struct key k;
	bool ok;

	read_key(key, &k);
	ok = k.kind == KEY_SECRET || k.kind == KEY_PRIVATE;
	OPENSSL_cleanse(&k, sizeof(k));
	return ok;
}

/** "id.timestamp.body": what is signed. */
static int write_content(const char *id, const char *timestamp,
			 const void *body, size_t len, struct buf *out)
{
	buf_init(out, CONTENT_MAX);
	buf_printf(out, "%s.%s.", id, timestamp);
	buf_append(out, body, len);
	return buf_err(out);
}

static int sign(const struct key *k, const struct buf *content, char *out)
{
	uint8_t mac[SIG_ED25519_LEN];
	int err;

	if (k->kind == KEY_SECRET) {
		err = sig_hmac_sha256(k->bytes, k->len, content->data,
				      content->len, mac);
		if (err)
			return err;
		memcpy(out, "v1,", sizeof("v1,"));
		sig_base64(mac, SIG_SHA256_LEN, out + strlen(out));
		return 0;
	}
	err = sig_ed25519(k->bytes, content->data, content->len, mac);
	if (err)
		return err;
	memcpy(out, "v1a,", sizeof("v1a,"));
	sig_base64(mac, SIG_ED25519_LEN, out + strlen(out));
	return 0;
}

static_assert(sizeof("v1a,") - 1 + SIG_BASE64_CAP(SIG_ED25519_LEN) <=
		      CALLBACK_STANDARD_SIGNATURE_MAX,
	      "every signature fits");

int callback_sign_standard(const char *key, const char *id, int64_t timestamp_s,
			   const void *body, size_t len,
			   char out[CALLBACK_STANDARD_SIGNATURE_MAX])
{
	struct buf content;
	char timestamp[32];
	struct key k;
	int err = EINVAL;

	snprintf(timestamp, sizeof(timestamp), "%" PRId64, timestamp_s);
	read_key(key, &k);
	if (k.kind == KEY_SECRET || k.kind == KEY_PRIVATE) {
		err = write_content(id, timestamp, body, len, &content);
		if (!err)
			err = sign(&k, &content, out);
		buf_fini(&content);
	}
	OPENSSL_cleanse(&k, sizeof(k));
	return err;
}

/** What one listed signature is held against. */
struct want {
	const struct buf *content;
	uint8_t mac[SIG_SHA256_LEN];	     /* v1 */
	uint8_t public[SIG_ED25519_KEY_LEN]; /* v1a */
	bool is_v1a;
};

static int prepare(const struct key *k, struct want *w)
{
	switch (k->kind) {
	case KEY_SECRET:
		return sig_hmac_sha256(k->bytes, k->len, w->content->data,
				       w->content->len, w->mac);
	case KEY_PRIVATE:
		w->is_v1a = true;
		return sig_ed25519_public(k->bytes, w->public);
	default:
		w->is_v1a = true;
		memcpy(w->public, k->bytes, sizeof(w->public));
		return 0;
	}
}

/** Is "v1,..." or "v1a,..." what is wanted?  Other versions are not. */
static bool is_wanted(const struct want *w, const char *signature)
{
	uint8_t got[SIG_ED25519_LEN];
	const char *prefix = w->is_v1a ? "v1a," : "v1,";
	size_t len;

	if (!str_starts_with(signature, prefix) ||
	    sig_base64_parse(signature + strlen(prefix), got, sizeof(got),
			     &len))
		return false;
	if (w->is_v1a)
		return len == SIG_ED25519_LEN &&
		       sig_ed25519_verify(w->public, w->content->data,
					  w->content->len, got);
	return len == SIG_SHA256_LEN && sig_is_equal(w->mac, got, len);
}

/** All that are listed are looked at: a sender that rotates lists two. */
static bool any_is_wanted(const struct want *w, const char *signatures)
{
	char list[LIST_MAX];
	bool found = false;
	char *rest;

	str_copy(list, sizeof(list), signatures);
	for (char *one = strtok_r(list, " ", &rest); one;
	     one = strtok_r(NULL, " ", &rest))
		found |= is_wanted(w, one);
	return found;
}

static int verify(const struct key *k, const struct buf *content,
		  const char *signatures)
{
	struct want w = {.content = content};
	int err = prepare(k, &w);

	if (err)
		return err;
	return any_is_wanted(&w, signatures) ? 0 : EACCES;
}

/** Are the headers there, and of their form? */
static bool has_form(const char *id, const char *timestamp,
		     const char *signatures, int64_t *sent_s)
{
	return id && timestamp && signatures && id[0] && signatures[0] &&
	       strlen(id) <= ID_TEXT_MAX && strlen(signatures) < LIST_MAX &&
	       !str_to_i64(timestamp, 0, CLOCK_UNIX_S_MAX, sent_s);
}

int callback_verify_standard(const char *key, const char *id,
			     const char *timestamp, const char *signatures,
			     const void *body, size_t len, int64_t now_ms)
{
	struct buf content;
	int64_t sent_s, age_s;
	struct key k;
	int err = EACCES;

	if (!has_form(id, timestamp, signatures, &sent_s))
		return EBADMSG;
	read_key(key, &k);
	if (k.kind != KEY_BAD) {
		/* The timestamp as it was sent: "007" is not "7". */
		err = write_content(id, timestamp, body, len, &content);
		if (!err)
			err = verify(&k, &content, signatures);
		buf_fini(&content);
	}
	OPENSSL_cleanse(&k, sizeof(k));
	if (err)
		return err;
	age_s = now_ms / 1000 - sent_s;
	if (age_s > CALLBACK_STANDARD_AGE_MAX_S ||
	    age_s < -CALLBACK_STANDARD_AGE_MAX_S)
		return ETIME;
	return 0;
}
