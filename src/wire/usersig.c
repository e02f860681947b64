/** wire/usersig.c -- UserSig, the ticket of a user (TLS 2.0). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/usersig.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/field.h"
#include "wire/quote.h"
#include "wire/sig.h"

enum {
	PACKED_MAX = USERSIG_TEXT_MAX / 4 * 3, /* the zlib stream [bytes] */
	SIGNED_MAX = 2048		       /* what is signed [bytes] */
};

static_assert(SIGNED_MAX > USERSIG_IDENTIFIER_MAX + USERSIG_USERBUF_MAX + 256,
	      "any ticket that was read can be signed");

/** How each of base64's odd characters is written, and what it is. */
static void swap(char *s, const char *from, const char *to)
{
	for (; *s; s++) {
		const char *at = strchr(from, *s);

		if (at)
			*s = to[at - from];
	}
}

static void *allocate(void *opaque, unsigned n, unsigned len)
{
	(void)opaque;
	return mem_zalloc_n(n, len);
}

static void release(void *opaque, void *p)
{
	(void)opaque;
	mem_free(p);
}

static enum usersig_fault unpack(const char *text, uint8_t *out, size_t *len,
				 struct err *err)
{
	char base64[USERSIG_TEXT_MAX + 1];

	if (!str_copy(base64, sizeof(base64), text)) {
		err_set(err, EMSGSIZE, "", "UserSig is over %d bytes",
			USERSIG_TEXT_MAX);
		return USERSIG_TOO_LONG;
	}
	/* The characters of plain base64 are none of a ticket's. */
	if (!base64[0] || strpbrk(base64, "+/=")) {
		err_set(err, EBADMSG, "", "UserSig is not base64 with *-_");
		return USERSIG_NOT_BASE64;
	}
	swap(base64, "*-_", "+/=");
	if (sig_base64_parse(base64, out, PACKED_MAX, len)) {
		err_set(err, EBADMSG, "", "UserSig is not base64 with *-_");
		return USERSIG_NOT_BASE64;
	}
	return USERSIG_OK;
}

/** What inflate() said, once it had all there is. */
static enum usersig_fault judge(int z, const z_stream *s, struct err *err)
{
	if (z == Z_STREAM_END && !s->avail_in)
		return USERSIG_OK;
	if (z == Z_MEM_ERROR) {
		err_no_memory(err);
		return USERSIG_NO_MEMORY;
	}
	if (z == Z_BUF_ERROR && !s->avail_out) {
		err_set(err, EMSGSIZE, "", "UserSig inflates to over %d bytes",
			USERSIG_JSON_MAX);
		return USERSIG_TOO_LONG;
	}
	err_set(err, EBADMSG, "", "UserSig is not a whole zlib stream");
	return USERSIG_NOT_ZLIB;
}

static enum usersig_fault inflate_all(uint8_t *packed, size_t packed_len,
				      uint8_t *json, size_t *len,
				      struct err *err)
{
	z_stream s = {.zalloc = allocate,
		      .zfree = release,
		      .next_in = packed,
		      .avail_in = (uInt)packed_len,
		      .next_out = json,
		      .avail_out = USERSIG_JSON_MAX};
	int z = inflateInit(&s);

	if (z == Z_OK)
		z = inflate(&s, Z_FINISH);
	*len = USERSIG_JSON_MAX - s.avail_out;
	(void)inflateEnd(&s);
	return judge(z, &s, err);
}

/**
 * The members by what stands behind "TLS." in their names: a dot is what
 * wire/field.h takes for the end of a path.  NULL: no memory.
 */
static json_t *strip(json_t *root)
{
	json_t *out = json_object();

	for (void *at = json_object_iter(root); at && out;
	     at = json_object_iter_next(root, at)) {
		const char *key = json_object_iter_key(at);

		if (!str_starts_with(key, "TLS.") ||
		    !json_object_set(out, key + 4, json_object_iter_value(at)))
			continue;
		json_decref(out);
		out = NULL;
	}
	return out;
}

static int read_version(const json_t *fields, struct err *err)
{
	char version[16];
	int bad = field_text(fields, "TLS.ver", version, sizeof(version), err);

	if (!bad && strcmp(version, "2.0") != 0)
		bad = err_set(err, EBADMSG, "TLS.ver", "TLS.ver must be 2.0");
	return bad;
}

static int read_mac(const json_t *fields, uint8_t mac[SIG_SHA256_LEN],
		    struct err *err)
{
	char text[SIG_BASE64_CAP(SIG_SHA256_LEN)];
	size_t len;
	int bad = field_text(fields, "TLS.sig", text, sizeof(text), err);

	if (!bad && (sig_base64_parse(text, mac, SIG_SHA256_LEN, &len) ||
		     len != SIG_SHA256_LEN))
		bad = err_set(err, EBADMSG, "TLS.sig",
			      "TLS.sig must be base64 of %d bytes",
			      SIG_SHA256_LEN);
	return bad;
}

static int read_fields(const json_t *fields, struct usersig *u,
		       uint8_t mac[SIG_SHA256_LEN], struct err *err)
{
	int bad = read_version(fields, err);

	if (!bad)
		bad = field_text_filled(fields, "TLS.identifier", u->identifier,
					sizeof(u->identifier), err);
	if (!bad)
		bad = field_i64(fields, "TLS.sdkappid", 0, INT64_MAX,
				&u->sdkappid, err);
	if (!bad)
		bad = field_i64(fields, "TLS.time", 0, CLOCK_UNIX_S_MAX,
				&u->time_s, err);
	if (!bad)
		bad = field_i64(fields, "TLS.expire", 0, CLOCK_UNIX_S_MAX,
				&u->expire_s, err);
	if (!bad && json_object_get(fields, "userbuf"))
		bad = field_text_filled(fields, "TLS.userbuf", u->userbuf,
					sizeof(u->userbuf), err);
	if (!bad)
		bad = read_mac(fields, mac, err);
	return bad;
}

static enum usersig_fault read_json(const uint8_t *json, size_t len,
				    struct usersig *u,
				    uint8_t mac[SIG_SHA256_LEN],
				    struct err *err)
{
	json_t *root = field_parse_root(json, len, err);
	json_t *fields = root ? strip(root) : NULL;
	int bad;

	if (!root)
		bad = err->code;
	else if (!fields)
		bad = err_no_memory(err);
	else
		bad = read_fields(fields, u, mac, err);
	json_decref(fields);
	json_decref(root);
	if (!bad)
		return USERSIG_OK;
	return bad == ENOMEM ? USERSIG_NO_MEMORY : USERSIG_MALFORMED;
}

static enum usersig_fault read_ticket(const char *text, struct usersig *u,
				      uint8_t mac[SIG_SHA256_LEN],
				      struct err *err)
{
	uint8_t packed[PACKED_MAX];
	uint8_t json[USERSIG_JSON_MAX];
	size_t packed_len, len;
	enum usersig_fault f = unpack(text, packed, &packed_len, err);

	if (!f)
		f = inflate_all(packed, packed_len, json, &len, err);
	if (!f)
		f = read_json(json, len, u, mac, err);
	return f;
}

static int sign(const struct usersig *u, const char *key,
		uint8_t mac[SIG_SHA256_LEN])
{
	char text[SIGNED_MAX];
	int len = snprintf(text, sizeof(text),
			   "TLS.identifier:%s\nTLS.sdkappid:%" PRId64
			   "\nTLS.time:%" PRId64 "\nTLS.expire:%" PRId64 "\n",
			   u->identifier, u->sdkappid, u->time_s, u->expire_s);

	if (u->userbuf[0])
		len += snprintf(text + len, sizeof(text) - (size_t)len,
				"TLS.userbuf:%s\n", u->userbuf);
	return sig_hmac_sha256(key, strlen(key), text, (size_t)len, mac);
}

static enum usersig_fault check_owner(const struct usersig_want *want,
				      const struct usersig *u, struct err *err)
{
	if (u->sdkappid != want->sdkappid) {
		err_set(err, EACCES, "TLS.sdkappid",
			"TLS.sdkappid is %" PRId64 ": a UserSig of another "
			"application than %" PRId64,
			u->sdkappid, want->sdkappid);
		return USERSIG_OTHER_APP;
	}
	if (strcmp(u->identifier, want->identifier) != 0) {
		err_set(err, EACCES, "TLS.identifier",
			"TLS.identifier is that of another user");
		return USERSIG_OTHER_USER;
	}
	return USERSIG_OK;
}

static enum usersig_fault check_mac(const struct usersig_want *want,
				    const struct usersig *u,
				    const uint8_t mac[SIG_SHA256_LEN],
				    struct err *err)
{
	uint8_t right[SIG_SHA256_LEN];

	if (sign(u, want->key, right)) {
		err_no_memory(err);
		return USERSIG_NO_MEMORY;
	}
	if (!want->key[0] || !sig_is_equal(mac, right, sizeof(right))) {
		err_set(err, EACCES, "TLS.sig",
			"TLS.sig is not by the key of application %" PRId64,
			u->sdkappid);
		return USERSIG_WRONG_KEY;
	}
	return USERSIG_OK;
}

static enum usersig_fault check_time(int64_t now_s, const struct usersig *u,
				     struct err *err)
{
	if (u->time_s > now_s + USERSIG_AHEAD_MAX_S) {
		err_set(err, ETIME, "TLS.time",
			"TLS.time is %" PRId64 " s ahead of this server: one "
			"of the two clocks is wrong",
			u->time_s - now_s);
		return USERSIG_NOT_YET;
	}
	if (now_s > u->time_s + u->expire_s) {
		err_set(err, ETIME, "TLS.expire",
			"TLS.expire was %" PRId64 " s ago: the UserSig has "
			"expired",
			now_s - u->time_s - u->expire_s);
		return USERSIG_EXPIRED;
	}
	return USERSIG_OK;
}

enum usersig_fault usersig_verify(const struct usersig_want *want,
				  const char *text, struct usersig *u,
				  struct err *err)
{
	struct usersig said = {0};
	uint8_t mac[SIG_SHA256_LEN];
	enum usersig_fault f = read_ticket(text, &said, mac, err);

	if (!f)
		f = check_owner(want, &said, err);
	if (!f)
		f = check_mac(want, &said, mac, err);
	if (!f)
		f = check_time(want->now_unix_s, &said, err);
	if (!f && u)
		*u = said;
	return f;
}

static bool is_valid(const struct usersig *u)
{
	return u->identifier[0] &&
	       str_is_clean_utf8(u->identifier, strlen(u->identifier)) &&
	       str_is_clean_utf8(u->userbuf, strlen(u->userbuf)) &&
	       u->sdkappid >= 0 && u->time_s >= 0 &&
	       u->time_s <= CLOCK_UNIX_S_MAX && u->expire_s >= 0 &&
	       u->expire_s <= CLOCK_UNIX_S_MAX;
}

static int write_json(const struct usersig *u, const char *key,
		      struct buf *json)
{
	char text[SIG_BASE64_CAP(SIG_SHA256_LEN)];
	uint8_t mac[SIG_SHA256_LEN];
	int err = sign(u, key, mac);

	if (err)
		return err;
	sig_base64(mac, sizeof(mac), text);
	buf_puts(json, "{\"TLS.ver\":\"2.0\",\"TLS.identifier\":");
	quote_json(json, u->identifier);
	buf_printf(json,
		   ",\"TLS.sdkappid\":%" PRId64 ",\"TLS.time\":%" PRId64
		   ",\"TLS.expire\":%" PRId64,
		   u->sdkappid, u->time_s, u->expire_s);
	if (u->userbuf[0]) {
		buf_puts(json, ",\"TLS.userbuf\":");
		quote_json(json, u->userbuf);
	}
	buf_printf(json, ",\"TLS.sig\":\"%s\"}", text);
	return buf_err(json);
}

static int deflate_all(struct buf *json, uint8_t packed[PACKED_MAX],
		       size_t *len)
{
	z_stream s = {.zalloc = allocate,
		      .zfree = release,
		      .next_in = json->data,
		      .avail_in = (uInt)json->len,
		      .next_out = packed,
		      .avail_out = PACKED_MAX};
	int z = deflateInit(&s, Z_DEFAULT_COMPRESSION);

	if (z == Z_OK)
		z = deflate(&s, Z_FINISH);
	(void)deflateEnd(&s);
	*len = PACKED_MAX - s.avail_out;
	return z == Z_STREAM_END ? 0 : ENOMEM;
}

int usersig_make(const struct usersig *u, const char *key, struct buf *out)
{
	char text[USERSIG_TEXT_MAX + 1];
	uint8_t packed[PACKED_MAX];
	struct buf json;
	size_t len;
	int err;

	if (!is_valid(u))
		return EINVAL;
	buf_init(&json, USERSIG_JSON_MAX);
	err = write_json(u, key, &json);
	if (!err)
		err = deflate_all(&json, packed, &len);
	buf_fini(&json);
	if (err)
		return err;
	sig_base64(packed, len, text);
	swap(text, "+/=", "*-_");
	buf_puts(out, text);
	return buf_err(out);
}
