/** wire/callback_sign.c -- how an event looks on the wire: signatures. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/sig.h"

enum { UNIX_S_MAX_DIGITS = 20 };

int callback_sign_gme(const char *key, const void *body, size_t len,
		      enum signature_encoding encoding,
		      char out[SIGNATURE_TEXT_MAX])
{
	uint8_t mac[SIG_SHA1_LEN];
	int err = sig_hmac_sha1(key, strlen(key), body, len, mac);

	if (err)
		return err;
	if (encoding == SIGNATURE_HEX)
		sig_hex(mac, sizeof(mac), out);
	else
		sig_base64(mac, sizeof(mac), out);
	return 0;
}

/** sha256(token + request_time), the latter as the text that is sent. */
static int sign_live(const char *token, const char *request_time,
		     uint8_t out[SIG_SHA256_LEN])
{
	return sig_sha256_of_two(token, strlen(token), request_time,
				 strlen(request_time), out);
}

int callback_sign_live(const char *token, int64_t request_time_s,
		       char out[SIGNATURE_TEXT_MAX])
{
	char time_text[UNIX_S_MAX_DIGITS + 1];
	uint8_t digest[SIG_SHA256_LEN];
	int err;

	snprintf(time_text, sizeof(time_text), "%" PRId64, request_time_s);
	err = sign_live(token, time_text, digest);
	if (!err)
		sig_hex(digest, sizeof(digest), out);
	return err;
}

int callback_sign_trtc(const char *key, const void *body, size_t len,
		       char out[SIGNATURE_TEXT_MAX])
{
	uint8_t mac[SIG_SHA256_LEN];
	int err = sig_hmac_sha256(key, strlen(key), body, len, mac);

	if (!err)
		sig_base64(mac, sizeof(mac), out);
	return err;
}

/** Anybody may know a public key: it is no more a secret than none at all. */
static bool is_secret(const char *key)
{
	return key[0] && !str_starts_with(key, "whpk_");
}

bool callback_verify_gme(const char *key, const void *body, size_t len,
			 const char *signature)
{
	uint8_t want[SIG_SHA1_LEN];
	uint8_t got[SIG_SHA1_LEN];
	size_t n;

	if (!is_secret(key))
		return false;
	/* The two cannot be confused: 40 characters against 28. */
	if (sig_hex_parse(signature, got, sizeof(got)) &&
	    (sig_base64_parse(signature, got, sizeof(got), &n) ||
	     n != sizeof(got)))
		return false;
	if (sig_hmac_sha1(key, strlen(key), body, len, want))
		return false;
	return sig_is_equal(want, got, sizeof(want));
}

bool callback_verify_trtc(const char *key, const void *body, size_t len,
			  const char *sign)
{
	uint8_t want[SIG_SHA256_LEN];
	uint8_t got[SIG_SHA256_LEN];
	size_t n;

	if (!is_secret(key) || sig_base64_parse(sign, got, sizeof(got), &n) ||
	    n != sizeof(got) ||
	    sig_hmac_sha256(key, strlen(key), body, len, want))
		return false;
	return sig_is_equal(want, got, sizeof(want));
}

int callback_verify_live(const char *token, const char *sign,
			 const char *request_time, int64_t now_ms)
{
	uint8_t want[SIG_SHA256_LEN];
	uint8_t got[SIG_SHA256_LEN];
	int64_t sent_s, age_s;
	int err;

	if (!sign || !request_time ||
	    str_to_i64(request_time, 0, CLOCK_UNIX_S_MAX, &sent_s) ||
	    sig_hex_parse(sign, got, sizeof(got)))
		return EBADMSG;
	if (!is_secret(token))
		return EACCES;
	err = sign_live(token, request_time, want);
	if (err)
		return err;
	if (!sig_is_equal(want, got, sizeof(want)))
		return EACCES;
	age_s = now_ms / 1000 - sent_s;
	if (age_s > CALLBACK_LIVE_AGE_MAX_S || age_s < -CALLBACK_LIVE_AGE_MAX_S)
		return ETIME;
	return 0;
}
