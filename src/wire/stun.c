/** wire/stun.c -- STUN as ICE uses it: checks and answers, read and written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <zlib.h>

#include "wire/bytes.h"
#include "wire/sig.h"

enum {
	COOKIE = 0x2112a442,
	CRC_XOR = 0x5354554e, /* RFC 8489 section 14.7 */
	ATTR_HEADER_LEN = 4,
	INTEGRITY_LEN = ATTR_HEADER_LEN + SIG_SHA1_LEN,
	FINGERPRINT_LEN = ATTR_HEADER_LEN + 4,
	OPTIONAL = 0x8000 /* from here on: may be left alone if not known */
};

/* Source: IANA, STUN attributes. */
enum {
	ATTR_MAPPED_ADDRESS = 0x0001,
	ATTR_USERNAME = 0x0006,
	ATTR_MESSAGE_INTEGRITY = 0x0008,
	ATTR_ERROR_CODE = 0x0009,
	ATTR_UNKNOWN_ATTRIBUTES = 0x000a,
	ATTR_REALM = 0x0014,
	ATTR_NONCE = 0x0015,
	ATTR_XOR_MAPPED_ADDRESS = 0x0020,
	ATTR_PRIORITY = 0x0024,
	ATTR_USE_CANDIDATE = 0x0025,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_ICE_CONTROLLED = 0x8029,
	ATTR_ICE_CONTROLLING = 0x802a
};

/* ---- reading --------------------------------------------------------------- */

/* Class and method are interleaved: RFC 8489 section 5. */
static void read_type(uint16_t type, struct stun *out)
{
	out->class = (enum stun_class)((type >> 4 & 1) | (type >> 7 & 2));
	out->method = (uint16_t)((type & 0x000f) | (type >> 1 & 0x0070) |
				 (type >> 2 & 0x0f80));
}

/* How long the value must be; -1: anything, as it is not looked at. */
static int length_of(uint16_t type)
{
	switch (type) {
	case ATTR_MESSAGE_INTEGRITY:
		return SIG_SHA1_LEN;
	case ATTR_USE_CANDIDATE:
		return 0;
	case ATTR_PRIORITY:
	case ATTR_FINGERPRINT:
		return 4;
	case ATTR_ICE_CONTROLLED:
	case ATTR_ICE_CONTROLLING:
		return 8;
	default:
		return -1;
	}
}

/* Those that a check or its answer may have, though nothing is done here. */
static bool is_known(uint16_t type)
{
	return type == ATTR_MAPPED_ADDRESS || type == ATTR_USERNAME ||
	       type == ATTR_ERROR_CODE || type == ATTR_UNKNOWN_ATTRIBUTES ||
	       type == ATTR_REALM || type == ATTR_NONCE ||
	       type == ATTR_XOR_MAPPED_ADDRESS || type == ATTR_PRIORITY;
}

/* One that stands before MESSAGE-INTEGRITY, or is it. */
static void read_attribute(uint16_t type, const uint8_t *data, size_t at,
			   size_t len, struct stun *out)
{
	switch (type) {
	case ATTR_USERNAME:
		if (out->username)
			break; /* the first counts: section 14 */
		out->username = data + at;
		out->username_len = len;
		break;
	case ATTR_USE_CANDIDATE:
		out->use_candidate = true;
		break;
	case ATTR_ICE_CONTROLLING:
		out->controlling = true;
		break;
	case ATTR_ICE_CONTROLLED:
		out->controlled = true;
		break;
	case ATTR_MESSAGE_INTEGRITY:
		out->integrity_at = at - ATTR_HEADER_LEN;
		break;
	default:
		if (type < OPTIONAL && !is_known(type) &&
		    out->n_unknown < STUN_UNKNOWN_MAX)
			out->unknown[out->n_unknown++] = type;
	}
}

static uint32_t fingerprint_of(const uint8_t *data, size_t len)
{
	return (uint32_t)crc32(0, data, (uInt)len) ^ CRC_XOR;
}

static int read_attributes(const uint8_t *data, size_t len, struct stun *out)
{
	size_t at = STUN_HEADER_LEN;

	while (at < len) {
		const uint8_t *value = data + at + ATTR_HEADER_LEN;
		const uint16_t type = bytes_get16(data + at);
		/* There are four bytes: all lengths are multiples of it. */
		const size_t n = bytes_get16(data + at + 2);
		const int expected = length_of(type);

		if (n > len - at - ATTR_HEADER_LEN ||
		    (expected >= 0 && n != (size_t)expected))
			return EBADMSG;
		if (type == ATTR_FINGERPRINT) {
			if (at + FINGERPRINT_LEN != len ||
			    bytes_get32(value) != fingerprint_of(data, at))
				return EBADMSG;
			out->has_fingerprint = true;
		} else if (out->integrity_at == 0) {
			read_attribute(type, data, at + ATTR_HEADER_LEN, n,
				       out);
		}
		at += ATTR_HEADER_LEN + ((n + 3) & ~(size_t)3);
	}
	return at == len ? 0 : EBADMSG;
}

int stun_parse(const uint8_t *data, size_t len, struct stun *out)
{
	struct stun s = {0};
	int err;

	if (len < STUN_HEADER_LEN || len > STUN_MAX || len % 4 != 0 ||
	    !stun_is_likely(data[0]) || bytes_get32(data + 4) != COOKIE ||
	    bytes_get16(data + 2) + (size_t)STUN_HEADER_LEN != len)
		return EBADMSG;
	read_type(bytes_get16(data), &s);
	s.id = data + 8;
	err = read_attributes(data, len, &s);
	if (!err)
		*out = s;
	return err;
}

/* Of the message as if it ended with MESSAGE-INTEGRITY at `at`. */
static int integrity_of(const uint8_t *data, size_t at, const char *pwd,
			uint8_t mac[SIG_SHA1_LEN])
{
	uint8_t copy[STUN_MAX];

	assert(at >= STUN_HEADER_LEN && at <= sizeof(copy));
	memcpy(copy, data, at);
	bytes_put16(copy + 2, (uint16_t)(at + INTEGRITY_LEN - STUN_HEADER_LEN));
	return sig_hmac_sha1(pwd, strlen(pwd), copy, at, mac);
}

bool stun_is_authentic(const struct stun *s, const uint8_t *data,
		       const char *pwd)
{
	uint8_t mac[SIG_SHA1_LEN];

	return s->integrity_at != 0 &&
	       !integrity_of(data, s->integrity_at, pwd, mac) &&
	       CRYPTO_memcmp(mac, data + s->integrity_at + ATTR_HEADER_LEN,
			     sizeof(mac)) == 0;
}

/* ---- writing --------------------------------------------------------------- */

/* A message that grows; its length is written at the end. */
struct writer {
	uint8_t *out;
	size_t len, cap;
};

static uint8_t *add(struct writer *w, uint16_t type, size_t len)
{
	uint8_t *at = w->out + w->len;
	const size_t padded = (len + 3) & ~(size_t)3;

	assert(w->len + ATTR_HEADER_LEN + padded <= w->cap);
	bytes_put16(at, type);
	bytes_put16(at + 2, (uint16_t)len);
	memset(at + ATTR_HEADER_LEN, 0, padded);
	w->len += ATTR_HEADER_LEN + padded;
	return at + ATTR_HEADER_LEN;
}

static struct writer begin(uint16_t method, enum stun_class class,
			   const uint8_t *id, uint8_t *out, size_t cap)
{
	const unsigned m = method, c = (unsigned)class;
	const unsigned type = (m & 0x000f) | (m & 0x0070) << 1 |
			      (m & 0x0f80) << 2 | (c & 1) << 4 | (c & 2) << 7;

	bytes_put16(out, (uint16_t)type);
	bytes_put32(out + 4, COOKIE);
	memcpy(out + 8, id, STUN_ID_LEN);
	return (struct writer){.out = out, .len = STUN_HEADER_LEN, .cap = cap};
}

static struct writer begin_answer(const struct stun *request,
				  enum stun_class class, uint8_t *out)
{
	return begin(request->method, class, request->id, out, STUN_ANSWER_MAX);
}

static void set_length(struct writer *w, size_t more)
{
	bytes_put16(w->out + 2, (uint16_t)(w->len + more - STUN_HEADER_LEN));
}

static size_t end(struct writer *w, const char *pwd)
{
	uint8_t mac[SIG_SHA1_LEN];

	if (pwd) {
		if (integrity_of(w->out, w->len, pwd, mac))
			return 0;
		memcpy(add(w, ATTR_MESSAGE_INTEGRITY, sizeof(mac)), mac,
		       sizeof(mac));
	}
	set_length(w, FINGERPRINT_LEN);
	bytes_put32(w->out + w->len + ATTR_HEADER_LEN,
		    fingerprint_of(w->out, w->len));
	bytes_put16(w->out + w->len, ATTR_FINGERPRINT);
	bytes_put16(w->out + w->len + 2, 4);
	return w->len + FINGERPRINT_LEN;
}

size_t stun_write_success(const struct stun *request,
			  const struct stun_addr *from, const char *pwd,
			  uint8_t out[STUN_ANSWER_MAX])
{
	struct writer w = begin_answer(request, STUN_SUCCESS, out);
	const size_t ip_len = from->is_v6 ? 16 : 4;
	uint8_t *v = add(&w, ATTR_XOR_MAPPED_ADDRESS, 4 + ip_len);

	v[1] = from->is_v6 ? 2 : 1;
	bytes_put16(v + 2, (uint16_t)(from->port ^ COOKIE >> 16));
	/* The mask is cookie and id, which follow each other. */
	for (size_t i = 0; i < ip_len; i++)
		v[4 + i] = from->ip[i] ^ out[4 + i];
	return end(&w, pwd);
}

static const struct reason {
	enum stun_code code;
	uint8_t len;
	char text[20];
} reasons[] = {
	{STUN_BAD_REQUEST, 11, "Bad Request"},
	{STUN_UNAUTHENTICATED, 15, "Unauthenticated"},
	{STUN_UNKNOWN_ATTRIBUTE, 17, "Unknown Attribute"},
	{STUN_ROLE_CONFLICT, 13, "Role Conflict"},
};

static const struct reason *reason_of(enum stun_code code)
{
	size_t i = 0;

	while (reasons[i].code != code) {
		i++;
		assert(i < ARRAY_LEN(reasons));
	}
	return &reasons[i];
}

size_t stun_write_error(const struct stun *request, enum stun_code code,
			const char *pwd, uint8_t out[STUN_ANSWER_MAX])
{
	struct writer w = begin_answer(request, STUN_ERROR, out);
	const struct reason *reason = reason_of(code);
	uint8_t *v = add(&w, ATTR_ERROR_CODE, 4 + (size_t)reason->len);

	v[2] = (uint8_t)(code / 100);
	v[3] = (uint8_t)(code % 100);
	memcpy(v + 4, reason->text, reason->len);
	if (code == STUN_UNKNOWN_ATTRIBUTE) {
		v = add(&w, ATTR_UNKNOWN_ATTRIBUTES, 2 * request->n_unknown);
		for (size_t i = 0; i < request->n_unknown; i++)
			bytes_put16(v + 2 * i, request->unknown[i]);
	}
	return end(&w, pwd);
}

size_t stun_write_check(const struct stun_check *c, const char *pwd,
			uint8_t out[STUN_CHECK_MAX])
{
	struct writer w =
		begin(STUN_BINDING, STUN_REQUEST, c->id, out, STUN_CHECK_MAX);
	const size_t len = strlen(c->username);
	uint8_t *v;

	assert(len <= STUN_USERNAME_MAX);
	memcpy(add(&w, ATTR_USERNAME, len), c->username, len);
	v = add(&w, ATTR_ICE_CONTROLLING, 8);
	bytes_put32(v, (uint32_t)(c->tie_breaker >> 32));
	bytes_put32(v + 4, (uint32_t)c->tie_breaker);
	bytes_put32(add(&w, ATTR_PRIORITY, 4), c->priority);
	if (c->nominate)
		(void)add(&w, ATTR_USE_CANDIDATE, 0);
	return end(&w, pwd);
}
