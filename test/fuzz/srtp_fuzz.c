/**
 * test/fuzz/srtp_fuzz.c -- sealed packets and reports.
 *
 * The first byte chooses: bit 0 the profile, bit 1 packet or report, bit 2
 * whether the rest is taken as it comes, or sealed first and then damaged at
 * the place that the next two bytes say.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/srtp.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t key[SRTP_KEY_LEN] = {1}, salt[SRTP_SALT_MAX] = {2};

static struct srtp *made(bool is_gcm, enum srtp_direction d)
{
	struct srtp *s;

	assert(!srtp_new(is_gcm ? SRTP_GCM_128 : SRTP_CM_SHA1_80, d, key, salt,
			 &s));
	return s;
}

/* In blocks of exactly its size.  Returns as srtp_unprotect. */
static int open_it(struct srtp *s, bool is_report, const uint8_t *data,
		   size_t len, uint8_t **out, size_t *out_len)
{
	uint8_t *in = malloc(len ? len : 1);

	*out = malloc(len ? len : 1);
	memcpy(in, data, len);
	int err = (is_report ? srtcp_unprotect : srtp_unprotect)(s, in, len,
								 *out, out_len);
	free(in);
	return err;
}

static void there_and_back(struct srtp *to, bool is_gcm, bool is_report,
			   size_t damage, const uint8_t *data, size_t len)
{
	struct srtp *from = made(is_gcm, SRTP_OUT);
	uint8_t *sealed = malloc(len + SRTP_TRAILER_MAX);
	uint8_t *out;
	size_t n, m;

	if (!(is_report ? srtcp_protect : srtp_protect)(from, data, len, sealed,
							&n)) {
		assert(n > len && n <= len + SRTP_TRAILER_MAX);
		sealed[damage % n] ^= 1;
		assert(open_it(to, is_report, sealed, n, &out, &m));
		free(out);
		sealed[damage % n] ^= 1;
		assert(!open_it(to, is_report, sealed, n, &out, &m));
		assert(m == len && !memcmp(out, data, len));
		free(out);
		assert(open_it(to, is_report, sealed, n, &out, &m));
		free(out);
	}
	free(sealed);
	srtp_free(from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct srtp *to;
	uint8_t *out;
	size_t n;
	bool is_gcm, is_report;

	if (len < 3)
		return 0;
	is_gcm = data[0] & 1;
	is_report = data[0] & 2;
	to = made(is_gcm, SRTP_IN);
	if (data[0] & 4) {
		there_and_back(to, is_gcm, is_report,
			       (size_t)data[1] << 8 | data[2], data + 3,
			       len - 3);
	} else {
		(void)open_it(to, is_report, data + 3, len - 3, &out, &n);
		free(out);
	}
	srtp_free(to);
	return 0;
}
