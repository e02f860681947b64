/**
 * commands/signing_explain.c -- why a signature may be wrong.
 *
 * WHAT  Tries what usually goes wrong between a sender and a receiver: the
 *       body was changed on its way into FILE, the key has something around
 *       it or is encoded, another digest or text form was used, something
 *       else was signed than should be.
 * WHY   "Wrong signature" costs a day; the cause is nearly always one of
 *       these, and can be found by trying.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/signing.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "commands/signing_guess.h"
#include "wire/sig.h"

/** The signature as bytes: len is that of a known digest, or 0. */
struct mac {
	uint8_t bytes[SIG_SHA256_LEN];
	size_t len;
	bool is_hex;
};

/** What is looked for, and how far it has come. */
struct search {
	const struct signing *s;
	struct mac mac;
	struct buf key;			/* as given */
	const struct buf *signed_bytes; /* now */
	const char *of_content;		/* what else was signed, "" */
	const char *of_key;
	char of_body[160];
};

/* ---- what is signed ------------------------------------------------------- */

static bool is_mac(const struct buf *key, void *arg)
{
	const struct search *x = arg;
	const struct buf *body = x->signed_bytes;
	uint8_t got[SIG_SHA256_LEN];
	int err;

	if (x->mac.len == SIG_SHA1_LEN)
		err = sig_hmac_sha1(key->data, key->len, body->data, body->len,
				    got);
	else
		err = sig_hmac_sha256(key->data, key->len, body->data,
				      body->len, got);
	return !err && sig_is_equal(got, x->mac.bytes, x->mac.len);
}

/** gme and trtc sign the body as it is. */
static bool is_signed(const struct buf *body, void *arg)
{
	struct search *x = arg;

	x->signed_bytes = body;
	return guess_key(&x->key, is_mac, x, &x->of_key);
}

/** The bytes that a key of standard stands for. */
static bool decode_secret(const struct buf *key, struct buf *out)
{
	const char *text = buf_str(key);
	uint8_t bytes[64];
	size_t len;

	if (!str_starts_with(text, "whsec_") ||
	    sig_base64_parse(text + strlen("whsec_"), bytes, sizeof(bytes),
			     &len))
		return false;
	buf_append(out, bytes, len);
	mem_wipe(bytes, sizeof(bytes));
	return true;
}

/** Right is the decoded secret; many take the text. */
static bool is_mac_of_secret(struct search *x)
{
	const char *text = buf_str(&x->key);
	struct buf key;
	bool is_it;

	buf_init_secret(&key, 8192);
	is_it = decode_secret(&x->key, &key) && is_mac(&key, x);
	x->of_key = "";
	if (!is_it && str_starts_with(text, "whsec_")) {
		buf_clear(&key);
		buf_puts(&key, text + strlen("whsec_"));
		x->of_key = "the sender uses the key's text behind whsec_, not "
			    "the bytes that it is the base64 of";
		is_it = is_mac(&key, x);
	}
	if (!is_it) {
		x->of_key = "the sender uses the key's text, not the bytes "
			    "that it is the base64 of";
		is_it = is_mac(&x->key, x);
	}
	buf_fini(&key);
	return is_it;
}

/** standard signs "id.timestamp.body". */
static bool is_signed_by_standard(const struct buf *body, void *arg)
{
	struct search *x = arg;
	const struct {
		const char *first, *second, *why;
	} forms[] = {
		{x->s->id, x->s->request_time, ""},
		{x->s->request_time, NULL,
		 "\"timestamp.body\" was signed, not \"id.timestamp.body\""},
		{NULL, NULL,
		 "the body alone was signed, not "
		 "\"id.timestamp.body\""},
		{x->s->request_time, x->s->id,
		 "\"timestamp.id.body\" was signed, not "
		 "\"id.timestamp.body\""},
	};
	bool is_it = false;

	for (size_t i = 0; !is_it && i < ARRAY_LEN(forms); i++) {
		struct buf content;

		buf_init(&content, 3 * SIGNING_BODY_MAX);
		if (forms[i].first)
			buf_printf(&content, "%s.", forms[i].first);
		if (forms[i].second)
			buf_printf(&content, "%s.", forms[i].second);
		buf_append(&content, buf_str(body), body->len);
		x->signed_bytes = &content;
		x->of_content = forms[i].why;
		is_it = !buf_err(&content) && is_mac_of_secret(x);
		buf_fini(&content);
	}
	return is_it;
}

/* ---- the signature ---------------------------------------------------------- */

static void read_mac(const char *text, struct mac *m)
{
	size_t len = 0;

	*m = (struct mac){.len = SIG_SHA1_LEN, .is_hex = true};
	if (!sig_hex_parse(text, m->bytes, SIG_SHA1_LEN))
		return;
	m->len = SIG_SHA256_LEN;
	if (!sig_hex_parse(text, m->bytes, SIG_SHA256_LEN))
		return;
	m->is_hex = false;
	if (sig_base64_parse(text, m->bytes, sizeof(m->bytes), &len) ||
	    (len != SIG_SHA1_LEN && len != SIG_SHA256_LEN))
		len = 0;
	m->len = len;
}

/** Append a clause, "; " between them. */
static void add(char *why, size_t cap, const char *clause)
{
	size_t len = strlen(why);

	if (clause[0])
		snprintf(why + len, cap - len, "%s%s", len ? "; " : "", clause);
}

static void say(const struct search *x, char *why, size_t cap)
{
	bool wants_sha1 = x->s->dialect == DIALECT_GME;

	if (x->mac.len == SIG_SHA256_LEN && wants_sha1)
		add(why, cap, "this is HMAC-SHA256, gme uses HMAC-SHA1");
	if (x->mac.len == SIG_SHA1_LEN && !wants_sha1)
		add(why, cap,
		    x->s->dialect == DIALECT_TRTC
			    ? "this is HMAC-SHA1, trtc uses "
			      "HMAC-SHA256"
			    : "this is HMAC-SHA1, standard uses "
			      "HMAC-SHA256");
	if (x->mac.is_hex && !wants_sha1)
		add(why, cap, "this is in hex, wanted is base64");
	add(why, cap, x->of_content);
	add(why, cap, x->of_body);
	add(why, cap, x->of_key);
}

/** One signature, without its version.  Returns whether it was explained; ""
 *  when nothing was wrong with it but how it is written. */
static bool explain(struct search *x, const char *text, char *why, size_t cap)
{
	guess_fn *fn = x->s->dialect == DIALECT_STANDARD ? is_signed_by_standard
							 : is_signed;

	why[0] = 0;
	x->of_content = x->of_key = "";
	read_mac(text, &x->mac);
	if (!x->mac.len ||
	    !guess_body(&x->s->body, fn, x, x->of_body, sizeof(x->of_body)))
		return false;
	say(x, why, cap);
	return true;
}

/** Each listed one; what stands before the ',' is its version. */
static void explain_list(struct search *x, char *why, size_t cap)
{
	char list[2048];
	bool any_v1 = false, any_v1a = false;
	char *rest;

	str_copy(list, sizeof(list), x->s->signature);
	for (char *one = strtok_r(list, " ", &rest); one;
	     one = strtok_r(NULL, " ", &rest)) {
		const char *comma = strchr(one, ',');

		any_v1 |= str_starts_with(one, "v1,");
		any_v1a |= str_starts_with(one, "v1a,");
		if (explain(x, comma ? comma + 1 : one, why, cap)) {
			if (!comma)
				add(why, cap,
				    "\"v1,\" is missing before the "
				    "base64");
			return;
		}
	}
	if (str_starts_with(buf_str(&x->key), "whsec_") && !any_v1)
		snprintf(why, cap,
			 any_v1a ? "the list has v1a only, which a whsec_ key "
				   "cannot verify: use the sender's whpk_"
				 : "a webhook-signature is \"v1,\" and base64, "
				   "or a list of such with spaces between");
	else if (!str_starts_with(buf_str(&x->key), "whsec_") && !any_v1a)
		snprintf(
			why, cap,
			"the list has no v1a, and this key verifies only that: "
			"use the sender's whsec_");
	else
		snprintf(why, cap,
			 "wrong: another key, another --id or --timestamp, or "
			 "FILE is not the body that was signed, byte for byte");
}

static void explain_one(struct search *x, char *why, size_t cap)
{
	const char *text = x->s->signature;

	if (explain(x, text, why, cap))
		return;
	if (x->mac.len)
		snprintf(why, cap,
			 "wrong: another key, or FILE is not the body that was "
			 "signed, byte for byte");
	else if (strstr(text, ": "))
		snprintf(why, cap,
			 "a header's name stands before it: give what is "
			 "behind the \": \"");
	else if (strpbrk(text, "-_"))
		snprintf(why, cap,
			 "this is base64url: '-' and '_' must be '+' and '/'");
	else
		snprintf(why, cap, "a %s, this has %zu characters",
			 x->s->dialect == DIALECT_GME
				 ? "Signature is 28 characters of base64 or 40 "
				   "hex digits"
				 : "Sign is 44 characters of base64",
			 strlen(text));
}

void signing_explain(const struct signing *s, char *why, size_t cap)
{
	struct search x = {.s = s};

	buf_init_secret(&x.key, 8192);
	buf_puts(&x.key, s->key);
	if (s->dialect == DIALECT_STANDARD)
		explain_list(&x, why, cap);
	else
		explain_one(&x, why, cap);
	buf_fini(&x.key);
}
