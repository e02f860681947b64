/** wire/tc3_fault.c -- what may be wrong with a signature, and how to say it;
 *  and the rules that both versions have. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/tc3_inside.h"

#define INVALID "AuthFailure.InvalidAuthorization"
#define FAILURE "AuthFailure.SignatureFailure"
#define MISSING "MissingParameter"
#define BAD	"InvalidParameter"
#define ID_CHARS                     \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"abcdefghijklmnopqrstuvwxyz" \
	"0123456789-_.*@+"

static const struct {
	const char *code;
	const char *text;
} faults[TC3_FAULTS] = {
	[TC3_OK] = {"", ""},
	[TC3_AUTHORIZATION_MISSING] = {MISSING, "Authorization is missing."},
	[TC3_AUTHORIZATION_TOO_LONG] = {INVALID, "Authorization is too long."},
	[TC3_ALGORITHM_UNKNOWN] =
		{INVALID, "Authorization must begin with TC3-HMAC-SHA256."},
	[TC3_PART_UNKNOWN] = {INVALID,
			      "Authorization must have the parts Credential, "
			      "SignedHeaders and Signature, and no other."},
	[TC3_PART_TWICE] = {INVALID, "Authorization has a part twice."},
	[TC3_CREDENTIAL_MISSING] = {INVALID,
				    "Credential in Authorization is missing."},
	[TC3_CREDENTIAL_MALFORMED] =
		{INVALID, "Credential in Authorization must be "
			  "<SecretId>/<date>/<service>/tc3_request."},
	[TC3_SECRET_ID_MALFORMED] =
		{"AuthFailure.InvalidSecretId",
		 "SecretId must have 1 to 127 letters, digits or -_.*@+."},
	[TC3_DATE_MALFORMED] = {INVALID,
				"The date in Credential must be YYYY-MM-DD."},
	[TC3_SERVICE_MALFORMED] =
		{INVALID, "The service in Credential must have 1 to 63 "
			  "letters, digits or -_:."},
	[TC3_SIGNED_HEADERS_MISSING] =
		{INVALID, "SignedHeaders in Authorization is missing."},
	[TC3_SIGNED_HEADERS_MALFORMED] =
		{INVALID, "SignedHeaders in Authorization must be names in "
			  "lower case with ';' between them, at most 511 "
			  "bytes."},
	[TC3_CONTENT_TYPE_UNSIGNED] =
		{INVALID, "SignedHeaders must include content-type."},
	[TC3_HOST_UNSIGNED] = {INVALID, "SignedHeaders must include host."},
	[TC3_SIGNATURE_MISSING] = {INVALID,
				   "Signature in Authorization is missing."},
	[TC3_SIGNATURE_MALFORMED] =
		{INVALID, "Signature in Authorization must be 64 hex digits."},
	[TC3_TIMESTAMP_MISSING] = {MISSING, "Timestamp (X-TC-Timestamp) is "
					    "missing."},
	[TC3_TIMESTAMP_MALFORMED] =
		{BAD, "Timestamp (X-TC-Timestamp) must be a time in whole "
		      "seconds since 1970."},
	[TC3_EXPIRED] = {"AuthFailure.SignatureExpire",
			 "Timestamp (X-TC-Timestamp) is more than five minutes "
			 "from the time of this server."},
	[TC3_DATE_OTHER] = {FAILURE,
			    "The date in Credential is not the UTC date of "
			    "X-TC-Timestamp."},
	[TC3_V1_SECRET_ID_MISSING] = {MISSING, "SecretId is missing."},
	[TC3_V1_NONCE_MISSING] = {MISSING, "Nonce is missing."},
	[TC3_V1_METHOD_UNKNOWN] =
		{BAD, "SignatureMethod must be HmacSHA1 or HmacSHA256."},
	[TC3_V1_SIGNATURE_MISSING] = {MISSING, "Signature is missing."},
	[TC3_V1_SIGNATURE_MALFORMED] =
		{FAILURE, "Signature must be base64 of as many bytes as "
			  "SignatureMethod makes."},
	[TC3_V1_PARAMETER_TWICE] = {BAD, "A parameter is there twice."},
	[TC3_V1_PARAMETERS_TOO_MANY] = {BAD,
					"There are more than 512 parameters."},
	[TC3_HEADER_MISSING] = {MISSING,
				"SignedHeaders names a header that the request "
				"does not have."},
	[TC3_TOO_LONG] = {"RequestSizeLimitExceeded",
			  "The part of the request that is signed is too "
			  "long."},
	[TC3_SIGNATURE_WRONG] = {FAILURE,
				 "Signature is not that of this request with "
				 "the key of SecretId."},
	[TC3_NO_MEMORY] = {"InternalError", "Out of memory."},
};

const char *tc3_fault_code(enum tc3_fault fault)
{
	assert(fault < TC3_FAULTS);
	return faults[fault].code;
}

const char *tc3_fault_text(enum tc3_fault fault)
{
	assert(fault < TC3_FAULTS);
	return faults[fault].text;
}

enum tc3_fault tc3_fault_of(int err)
{
	switch (err) {
	case 0:
		return TC3_OK;
	case EMSGSIZE:
		return TC3_TOO_LONG;
	default:
		return TC3_NO_MEMORY;
	}
}

bool tc3_copy_word(struct tc3_slice s, const char *allowed, char *to,
		   size_t cap)
{
	if (!s.len || s.len >= cap || strspn(s.at, allowed) < s.len)
		return false;
	memcpy(to, s.at, s.len);
	to[s.len] = 0;
	return true;
}

bool tc3_copy_id(struct tc3_slice s, char to[TC3_SECRET_ID_MAX + 1])
{
	return tc3_copy_word(s, ID_CHARS, to, TC3_SECRET_ID_MAX + 1);
}

enum tc3_fault tc3_read_timestamp(const char *text, int64_t *timestamp_s)
{
	if (!text || !text[0])
		return TC3_TIMESTAMP_MISSING;
	if (strlen(text) > TC3_TIMESTAMP_MAX ||
	    str_to_i64(text, 0, CLOCK_UNIX_S_MAX, timestamp_s))
		return TC3_TIMESTAMP_MALFORMED;
	return TC3_OK;
}

enum tc3_fault tc3_check_window(int64_t timestamp_s, int64_t now_unix_s)
{
	if (timestamp_s > now_unix_s + TC3_WINDOW_S ||
	    timestamp_s < now_unix_s - TC3_WINDOW_S)
		return TC3_EXPIRED;
	return TC3_OK;
}

size_t tc3_host_len(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;

	return end ? (size_t)(end + 1 - host) : strcspn(host, ":");
}
