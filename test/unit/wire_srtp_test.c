/** test/unit/wire_srtp_test.c -- seals of packets and reports. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/srtp.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oom.h"
#include "wire/sig.h"

enum { ROOM = 2048 };

static const enum srtp_profile profiles[] = {SRTP_CM_SHA1_80, SRTP_GCM_128};

/* Source: RFC 3711 appendix B.3. */
static const uint8_t master_key[SRTP_KEY_LEN] = {
	0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0,
	0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde, 0x41, 0x39};
static const uint8_t master_salt[SRTP_SALT_MAX] = {0x0e, 0xc6, 0x75, 0xad, 0x49,
						   0x8a, 0xfe, 0xeb, 0xb6, 0x96,
						   0x0b, 0x3a, 0xab, 0xe6};

static struct srtp *made(enum srtp_profile profile, enum srtp_direction d)
{
	struct srtp *s;

	assert_int_equal(srtp_new(profile, d, master_key, master_salt, &s), 0);
	return s;
}

/** Unprotect a copy of exactly `len` bytes into as many. */
static int open_copy(struct srtp *s, const uint8_t *data, size_t len,
		     uint8_t *out, size_t *out_len)
{
	uint8_t *copy = test_malloc(len ? len : 1);
	uint8_t *room = test_malloc(len ? len : 1);
	int err;

	memcpy(copy, data, len);
	err = srtp_unprotect(s, copy, len, room, out_len);
	if (!err)
		memcpy(out, room, *out_len);
	test_free(room);
	test_free(copy);
	return err;
}

static int open_report(struct srtp *s, const uint8_t *data, size_t len,
		       uint8_t *out, size_t *out_len)
{
	uint8_t *copy = test_malloc(len ? len : 1);
	uint8_t *room = test_malloc(len ? len : 1);
	int err;

	memcpy(copy, data, len);
	err = srtcp_unprotect(s, copy, len, room, out_len);
	if (!err)
		memcpy(out, room, *out_len);
	test_free(room);
	test_free(copy);
	return err;
}

/* ---- vectors ---------------------------------------------------------------- */

static void keys_are_derived_as_in_rfc_3711_b3(void **state)
{
	static const uint8_t cipher[] = {0xc6, 0x1e, 0x7a, 0x93, 0x74, 0x4f,
					 0x39, 0xee, 0x10, 0x73, 0x4a, 0xfe,
					 0x3f, 0xf7, 0xa0, 0x87};
	static const uint8_t salt[] = {0x30, 0xcb, 0xbc, 0x08, 0x86,
				       0x3d, 0x8c, 0x85, 0xd4, 0x9d,
				       0xb3, 0x4a, 0x9a, 0xe1};
	static const uint8_t auth[] = {0xce, 0xbe, 0x32, 0x1f, 0x6f, 0xf7, 0x71,
				       0x6b, 0x6f, 0xd4, 0xab, 0x49, 0xaf, 0x25,
				       0x6a, 0x15, 0x6d, 0x38, 0xba, 0xa4};
	struct srtp_keys rtp, rtcp;

	(void)state;
	assert_int_equal(srtp_derive(SRTP_CM_SHA1_80, master_key, master_salt,
				     &rtp, &rtcp),
			 0);
	assert_memory_equal(rtp.cipher, cipher, sizeof(cipher));
	assert_memory_equal(rtp.salt, salt, sizeof(salt));
	assert_memory_equal(rtp.auth, auth, sizeof(auth));
	assert_memory_not_equal(rtcp.cipher, cipher, sizeof(cipher));
	assert_memory_not_equal(rtcp.salt, salt, sizeof(salt));
	assert_memory_not_equal(rtcp.auth, auth, sizeof(auth));
}

static void the_key_stream_is_that_of_rfc_3711_b2(void **state)
{
	static const struct srtp_keys keys = {
		.cipher = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab,
			   0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c},
		.salt = {0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
			 0xf9, 0xfa, 0xfb, 0xfc, 0xfd}};
	static const uint8_t stream[] = {
		0xe0, 0x3e, 0xad, 0x09, 0x35, 0xc9, 0x5e, 0x80, 0xe1, 0x66,
		0xb1, 0x6d, 0xd9, 0x2b, 0x4e, 0xb4, 0xd2, 0x35, 0x13, 0x16,
		0x2b, 0x02, 0xd0, 0xf7, 0x2a, 0x43, 0xa2, 0xfe, 0x4a, 0x5f,
		0x97, 0xab, 0x41, 0xe9, 0x5b, 0x3b, 0xb0, 0xa2, 0xe8, 0xdd,
		0x47, 0x79, 0x01, 0xe4, 0xfc, 0xa8, 0x94, 0xc0};
	uint8_t in[12 + sizeof(stream)] = {0x80}, out[ROOM];
	struct srtp *s;
	size_t len;

	(void)state;
	/* SSRC, number and payload are zero */
	assert_int_equal(
		srtp_new_keyed(SRTP_CM_SHA1_80, SRTP_OUT, &keys, &keys, &s), 0);
	assert_int_equal(srtp_protect(s, in, sizeof(in), out, &len), 0);
	assert_int_equal(len, sizeof(in) + 10);
	assert_memory_equal(out + 12, stream, sizeof(stream));
	srtp_free(s);
}

/* Source: RFC 7714 sections 16, 17: these are session keys. */
static const struct srtp_keys rfc7714 = {
	.cipher = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	.salt = {0x51, 0x75, 0x69, 0x64, 0x20, 0x70, 0x72, 0x6f, 0x20, 0x71,
		 0x75, 0x6f}};

static void a_packet_is_sealed_as_in_rfc_7714_16(void **state)
{
	static const uint8_t plain[] = {
		0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01,
		0xa0, 0xb2, 0x47, 0x61, 0x6c, 0x6c, 0x69, 0x61, 0x20, 0x65,
		0x73, 0x74, 0x20, 0x6f, 0x6d, 0x6e, 0x69, 0x73, 0x20, 0x64,
		0x69, 0x76, 0x69, 0x73, 0x61, 0x20, 0x69, 0x6e, 0x20, 0x70,
		0x61, 0x72, 0x74, 0x65, 0x73, 0x20, 0x74, 0x72, 0x65, 0x73};
	static const uint8_t sealed[] = {
		0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01,
		0xa0, 0xb2, 0xf2, 0x4d, 0xe3, 0xa3, 0xfb, 0x34, 0xde, 0x6c,
		0xac, 0xba, 0x86, 0x1c, 0x9d, 0x7e, 0x4b, 0xca, 0xbe, 0x63,
		0x3b, 0xd5, 0x0d, 0x29, 0x4e, 0x6f, 0x42, 0xa5, 0xf4, 0x7a,
		0x51, 0xc7, 0xd1, 0x9b, 0x36, 0xde, 0x3a, 0xdf, 0x88, 0x33,
		0x89, 0x9d, 0x7f, 0x27, 0xbe, 0xb1, 0x6a, 0x91, 0x52, 0xcf,
		0x76, 0x5e, 0xe4, 0x39, 0x0c, 0xce};
	uint8_t out[ROOM];
	struct srtp *s;
	size_t len;

	(void)state;
	assert_int_equal(
		srtp_new_keyed(SRTP_GCM_128, SRTP_OUT, &rfc7714, &rfc7714, &s),
		0);
	assert_int_equal(srtp_protect(s, plain, sizeof(plain), out, &len), 0);
	assert_int_equal(len, sizeof(sealed));
	assert_memory_equal(out, sealed, len);
	srtp_free(s);
	assert_int_equal(
		srtp_new_keyed(SRTP_GCM_128, SRTP_IN, &rfc7714, &rfc7714, &s),
		0);
	assert_int_equal(open_copy(s, sealed, sizeof(sealed), out, &len), 0);
	assert_int_equal(len, sizeof(plain));
	assert_memory_equal(out, plain, len);
	srtp_free(s);
}

static void a_report_is_sealed_as_in_rfc_7714_17(void **state)
{
	static const uint8_t plain[] = {
		0x81, 0xc8, 0x00, 0x0d, 0x4d, 0x61, 0x72, 0x73, 0x4e,
		0x54, 0x50, 0x31, 0x4e, 0x54, 0x50, 0x32, 0x52, 0x54,
		0x50, 0x20, 0x00, 0x00, 0x04, 0x2a, 0x00, 0x00, 0xe9,
		0x30, 0x4c, 0x75, 0x6e, 0x61, 0xde, 0xad, 0xbe, 0xef,
		0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef, 0xde,
		0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef};
	static const uint8_t sealed[] = {
		0x81, 0xc8, 0x00, 0x0d, 0x4d, 0x61, 0x72, 0x73, 0x63,
		0xe9, 0x48, 0x85, 0xdc, 0xda, 0xb6, 0x7c, 0xa7, 0x27,
		0xd7, 0x66, 0x2f, 0x6b, 0x7e, 0x99, 0x7f, 0xf5, 0xc0,
		0xf7, 0x6c, 0x06, 0xf3, 0x2d, 0xc6, 0x76, 0xa5, 0xf1,
		0x73, 0x0d, 0x6f, 0xda, 0x4c, 0xe0, 0x9b, 0x46, 0x86,
		0x30, 0x3d, 0xed, 0x0b, 0xb9, 0x27, 0x5b, 0xc8, 0x4a,
		0xa4, 0x58, 0x96, 0xcf, 0x4d, 0x2f, 0xc5, 0xab, 0xf8,
		0x72, 0x45, 0xd9, 0xea, 0xde, 0x80, 0x00, 0x05, 0xd4};
	uint8_t out[ROOM];
	struct srtp *s;
	size_t len;

	(void)state;
	assert_int_equal(
		srtp_new_keyed(SRTP_GCM_128, SRTP_IN, &rfc7714, &rfc7714, &s),
		0);
	assert_int_equal(open_report(s, sealed, sizeof(sealed), out, &len), 0);
	assert_int_equal(len, sizeof(plain));
	assert_memory_equal(out, plain, len);
	srtp_free(s);
}

/* Made by libsrtp2 2.5.0 of the master key above: two packets, with numbers
 * 65534 and 0 of the next cycle, and a report. */
static const uint8_t cm_65534[] = {
	0x90, 0x6f, 0xff, 0xfe, 0x00, 0x00, 0x03, 0x00, 0xca, 0xfe, 0xba,
	0xbe, 0xbe, 0xde, 0x00, 0x01, 0x10, 0x8a, 0x00, 0x00, 0x19, 0x26,
	0x77, 0x19, 0x47, 0x43, 0x6f, 0x8d, 0x58, 0x2b, 0x84, 0x72, 0xa3,
	0xf6, 0xaf, 0x21, 0x3f, 0xd9, 0x42, 0xc2, 0xce};
static const uint8_t cm_0[] = {
	0x90, 0x6f, 0x00, 0x00, 0x00, 0x00, 0x03, 0x02, 0xca, 0xfe, 0xba,
	0xbe, 0xbe, 0xde, 0x00, 0x01, 0x10, 0x8a, 0x00, 0x00, 0xe7, 0x22,
	0x3e, 0xea, 0x58, 0x1c, 0x60, 0xe9, 0x08, 0xa0, 0x79, 0xaf, 0x80,
	0x83, 0x1d, 0x24, 0x0d, 0x45, 0x0e, 0xce, 0xdf};
static const uint8_t cm_report[] = {
	0x80, 0xc9, 0x00, 0x01, 0xca, 0xfe, 0xba, 0xbe, 0x5b, 0x49, 0xa8, 0xf2,
	0x85, 0xd2, 0xa8, 0xa8, 0x14, 0x52, 0x43, 0xea, 0x80, 0x00, 0x00, 0x01,
	0x56, 0x1f, 0xfe, 0xa3, 0x1f, 0x43, 0x13, 0x4e, 0x30, 0x1c};
static const uint8_t gcm_65534[] = {
	0x90, 0x6f, 0xff, 0xfe, 0x00, 0x00, 0x03, 0x00, 0xca, 0xfe, 0xba, 0xbe,
	0xbe, 0xde, 0x00, 0x01, 0x10, 0x8a, 0x00, 0x00, 0x70, 0x06, 0x74, 0x45,
	0x90, 0x64, 0x5c, 0x17, 0x02, 0x67, 0xf8, 0x10, 0xcb, 0x7c, 0x5e, 0x96,
	0x0e, 0xfc, 0xd9, 0xa6, 0x18, 0xad, 0x49, 0x04, 0xea, 0x1e, 0x21};
static const uint8_t gcm_0[] = {
	0x90, 0x6f, 0x00, 0x00, 0x00, 0x00, 0x03, 0x02, 0xca, 0xfe, 0xba, 0xbe,
	0xbe, 0xde, 0x00, 0x01, 0x10, 0x8a, 0x00, 0x00, 0x47, 0x8d, 0x40, 0x84,
	0x1e, 0xd7, 0x76, 0xb1, 0x9d, 0x11, 0x24, 0x4d, 0x3a, 0x1f, 0x36, 0x03,
	0x2e, 0x08, 0xd4, 0x34, 0xf7, 0xca, 0xd1, 0x23, 0xc1, 0xc9, 0x91};
static const uint8_t gcm_report[] = {
	0x80, 0xc9, 0x00, 0x01, 0xca, 0xfe, 0xba, 0xbe, 0xc0, 0x0f,
	0xf5, 0x1a, 0xa6, 0x09, 0x57, 0x35, 0xaa, 0x5f, 0x4d, 0x14,
	0xb7, 0xbc, 0xc8, 0xe1, 0x68, 0xe0, 0x2c, 0x81, 0xae, 0xd9,
	0x59, 0xdf, 0x16, 0xcf, 0xba, 0x5a, 0x80, 0x00, 0x00, 0x01};
static const uint8_t their_report[] = {0x80, 201,  0,	1, 0xca, 0xfe, 0xba,
				       0xbe, 0x81, 202, 0, 2,	 0xca, 0xfe,
				       0xba, 0xbe, 1,	1, 'x',	 0};

static void open_theirs(enum srtp_profile profile, const uint8_t *first,
			const uint8_t *second, size_t len,
			const uint8_t *report, size_t report_len)
{
	struct srtp *s = made(profile, SRTP_IN);
	uint8_t out[ROOM];
	size_t n;

	assert_int_equal(open_copy(s, first, len, out, &n), 0);
	assert_int_equal(n, 31);
	assert_memory_equal(out, first, 20);
	assert_memory_equal(out + 20, "hello there", 11);
	/* the one between them is lost: the cycle is known nevertheless */
	assert_int_equal(open_copy(s, second, len, out, &n), 0);
	assert_memory_equal(out + 20, "hello there", 11);
	assert_int_equal(open_report(s, report, report_len, out, &n), 0);
	assert_int_equal(n, sizeof(their_report));
	assert_memory_equal(out, their_report, n);
	assert_int_equal(open_copy(s, first, len, out, &n), EALREADY);
	assert_int_equal(open_copy(s, second, len, out, &n), EALREADY);
	assert_int_equal(open_report(s, report, report_len, out, &n), EALREADY);
	srtp_free(s);
}

static void what_libsrtp_has_sealed_is_opened(void **state)
{
	(void)state;
	open_theirs(SRTP_CM_SHA1_80, cm_65534, cm_0, sizeof(cm_0), cm_report,
		    sizeof(cm_report));
	open_theirs(SRTP_GCM_128, gcm_65534, gcm_0, sizeof(gcm_0), gcm_report,
		    sizeof(gcm_report));
}

static void what_is_sealed_here_is_what_libsrtp_makes(void **state)
{
	static const uint8_t head[20] = {
		0x90, 0x6f, 0xff, 0xfe, 0x00, 0x00, 0x03, 0x00, 0xca, 0xfe,
		0xba, 0xbe, 0xbe, 0xde, 0x00, 0x01, 0x10, 0x8a, 0x00, 0x00};
	uint8_t in[31], out[ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		const bool is_cm = profiles[i] == SRTP_CM_SHA1_80;
		struct srtp *s = made(profiles[i], SRTP_OUT);
		size_t len;

		memcpy(in, head, sizeof(head));
		memcpy(in + sizeof(head), "hello there", 11);
		assert_int_equal(srtp_protect(s, in, sizeof(in), out, &len), 0);
		assert_int_equal(len, is_cm ? sizeof(cm_0) : sizeof(gcm_0));
		assert_memory_equal(out, is_cm ? cm_65534 : gcm_65534, len);
		in[2] = in[3] = 0;
		in[7] = 2;
		assert_int_equal(srtp_protect(s, in, sizeof(in), out, &len), 0);
		assert_memory_equal(out, is_cm ? cm_0 : gcm_0, len);
		/* libsrtp counts reports from 1 */
		srtp_skip_to(s, 1, 0xcafebabe, 65536);
		assert_int_equal(srtcp_protect(s, their_report,
					       sizeof(their_report), out, &len),
				 0);
		assert_int_equal(len, is_cm ? sizeof(cm_report)
					    : sizeof(gcm_report));
		assert_memory_equal(out, is_cm ? cm_report : gcm_report, len);
		srtp_free(s);
	}
}

/* ---- two ends ---------------------------------------------------------------- */

struct pair {
	struct srtp *from, *to;
	uint8_t sealed[ROOM];
	size_t len;
};

static struct pair pair_of(enum srtp_profile profile)
{
	return (struct pair){.from = made(profile, SRTP_OUT),
			     .to = made(profile, SRTP_IN)};
}

static void part(struct pair *p)
{
	srtp_free(p->from);
	srtp_free(p->to);
}

/** Seal packet number `n` of an SSRC, with its number as payload. */
static void seal(struct pair *p, uint32_t ssrc, int64_t n)
{
	uint8_t in[20] = {0x80,
			  111,
			  (uint8_t)(n >> 8),
			  (uint8_t)n,
			  0,
			  0,
			  0,
			  0,
			  (uint8_t)(ssrc >> 24),
			  (uint8_t)(ssrc >> 16),
			  (uint8_t)(ssrc >> 8),
			  (uint8_t)ssrc};

	memcpy(in + 12, &n, sizeof(n));
	assert_int_equal(
		srtp_protect(p->from, in, sizeof(in), p->sealed, &p->len), 0);
}

/** What comes out of what was sealed last. */
static int unseal(struct pair *p, int64_t *n)
{
	uint8_t out[ROOM];
	size_t len;
	int err = open_copy(p->to, p->sealed, p->len, out, &len);

	if (!err)
		memcpy(n, out + 12, sizeof(*n));
	return err;
}

static void expect(struct pair *p, int64_t n)
{
	int64_t got = -1;

	assert_int_equal(unseal(p, &got), 0);
	assert_int_equal(got, n);
}

static void every_bit_of_a_packet_is_authenticated(void **state)
{
	uint8_t out[ROOM], report[32] = {0x80, 201, 0, 7, 1, 2, 3, 4};
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct pair p = pair_of(profiles[i]);

		seal(&p, 7, 100);
		for (size_t bit = 0; bit < p.len * 8; bit++) {
			int err;

			p.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			err = open_copy(p.to, p.sealed, p.len, out, &len);
			assert_true(err == EACCES || err == EBADMSG);
			p.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		/* and none of it was remembered */
		expect(&p, 100);
		assert_int_equal(srtcp_protect(p.from, report, sizeof(report),
					       p.sealed, &p.len),
				 0);
		for (size_t bit = 0; bit < p.len * 8; bit++) {
			int err;

			p.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			err = open_report(p.to, p.sealed, p.len, out, &len);
			assert_true(err == EACCES || err == EBADMSG);
			p.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(open_report(p.to, p.sealed, p.len, out, &len),
				 0);
		part(&p);
	}
}

static void every_truncation_is_refused(void **state)
{
	uint8_t out[ROOM];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		const bool is_cm = profiles[i] == SRTP_CM_SHA1_80;
		const uint8_t *packet = is_cm ? cm_65534 : gcm_65534;
		const uint8_t *report = is_cm ? cm_report : gcm_report;
		const size_t n = is_cm ? sizeof(cm_0) : sizeof(gcm_0);
		struct pair p = pair_of(profiles[i]);

		for (size_t cut = 0; cut < n; cut++) {
			int err = open_copy(p.to, packet, cut, out, &len);

			assert_int_equal(err, cut < (is_cm ? 30 : 36) ? EBADMSG
								      : EACCES);
		}
		for (size_t cut = 0; cut < sizeof(cm_report); cut++) {
			int err = open_report(p.to, report, cut, out, &len);

			assert_true(err == EBADMSG || err == EACCES);
			assert_true(err == EACCES || cut < (is_cm ? 22 : 28));
		}
		part(&p);
	}
}

static void what_has_come_does_not_come_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		static uint8_t kept[600][64];
		static size_t lens[600];
		struct pair p = pair_of(profiles[i]);
		uint8_t out[ROOM];
		size_t len;

		for (int64_t n = 0; n < 600; n++) {
			seal(&p, 7, n);
			memcpy(kept[n], p.sealed, p.len);
			lens[n] = p.len;
		}
		/* every other one, then all: those that are new and near
		 * enough are taken, in any order, and none twice */
		for (int64_t n = 0; n < 600; n += 2)
			assert_int_equal(
				open_copy(p.to, kept[n], lens[n], out, &len),
				0);
		for (int64_t n = 599 - SRTP_WINDOW - 40; n < 599; n++) {
			const bool is_new = n % 2 == 1 && 598 - n < SRTP_WINDOW;

			assert_int_equal(
				open_copy(p.to, kept[n], lens[n], out, &len),
				is_new ? 0 : EALREADY);
		}
		for (int64_t n = 0; n < 599; n++)
			assert_int_equal(
				open_copy(p.to, kept[n], lens[n], out, &len),
				EALREADY);
		/* a leap empties the window */
		seal(&p, 7, 600 + 10000);
		expect(&p, 600 + 10000);
		assert_int_equal(
			open_copy(p.to, kept[599], lens[599], out, &len),
			EALREADY);
		part(&p);
	}
}

static void numbers_wrap_and_wrap_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct pair p = pair_of(profiles[i]);
		int64_t n = 65000, got;

		/* some are lost, also at the seam */
		for (; n < 5 * 65536; n += 1 + n % 977) {
			seal(&p, 7, n);
			if (n % 3)
				expect(&p, n);
		}
		/* from behind the seam back to one before it */
		n = 7 * 65536;
		for (int64_t at = 5 * 65536; at < n - 20; at += 20000) {
			seal(&p, 7, at);
			expect(&p, at);
		}
		seal(&p, 7, n - 3);
		seal(&p, 7, n + 2);
		expect(&p, n + 2);
		assert_int_equal(unseal(&p, &got), EALREADY);
		part(&p);
	}
}

static void one_of_the_cycle_before_is_opened_behind_the_seam(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct pair p = pair_of(profiles[i]);
		struct pair before;

		for (int64_t n = 60000; n < 65530; n += 500) {
			seal(&p, 7, n);
			expect(&p, n);
		}
		seal(&p, 7, 65535);
		before = p;
		seal(&p, 7, 65538);
		expect(&p, 65538);
		expect(&before, 65535);
		/* before its very first there is nothing */
		seal(&p, 8, 5);
		expect(&p, 5);
		part(&p);
	}
}

static void a_number_before_the_first_of_all_is_refused(void **state)
{
	struct pair p = pair_of(SRTP_GCM_128);
	uint8_t out[ROOM];
	size_t len;

	(void)state;
	seal(&p, 7, 5);
	expect(&p, 5);
	p.sealed[2] = 0xff; /* 65285 would be -251 */
	assert_int_equal(open_copy(p.to, p.sealed, p.len, out, &len), EALREADY);
	part(&p);
}

static void keys_end(void **state)
{
	uint8_t report[8] = {0x80, 201, 0, 1, 0, 0, 0, 7}, out[ROOM];
	struct pair p = pair_of(SRTP_GCM_128);
	uint8_t in[12] = {0x80, 111, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 7};
	size_t len;

	(void)state;
	seal(&p, 7, 1);
	srtp_skip_to(p.from, UINT32_C(0x7fffffff), 7, (INT64_C(1) << 48) - 2);
	assert_int_equal(
		srtcp_protect(p.from, report, sizeof(report), out, &len), 0);
	assert_int_equal(
		srtcp_protect(p.from, report, sizeof(report), out, &len),
		EOVERFLOW);
	assert_int_equal(srtp_protect(p.from, in, sizeof(in), out, &len), 0);
	in[2] = in[3] = 0;
	assert_int_equal(srtp_protect(p.from, in, sizeof(in), out, &len),
			 EOVERFLOW);
	part(&p);
}

static void sources_come_and_go_within_the_bound(void **state)
{
	struct pair p = pair_of(SRTP_GCM_128);
	struct pair first;
	int64_t n;

	(void)state;
	seal(&p, 1000, 1);
	first = p;
	expect(&p, 1);
	/* as many as may be: all are remembered */
	for (uint32_t i = 1; i < SRTP_SOURCES; i++) {
		seal(&p, 1000 + i, 1);
		expect(&p, 1);
		assert_int_equal(unseal(&p, &n), EALREADY);
	}
	assert_int_equal(unseal(&first, &n), EALREADY);
	/* one that goes on keeps its place, whoever comes */
	for (uint32_t i = 0; i < 10 * SRTP_SOURCES; i++) {
		seal(&p, 1000, 2 + i);
		first = p;
		expect(&p, 2 + i);
		seal(&p, 2000 + i, 60000);
		expect(&p, 60000);
		assert_int_equal(unseal(&first, &n), EALREADY);
	}
	/* forged ones take none */
	for (uint32_t i = 0; i < 10 * SRTP_SOURCES; i++) {
		uint8_t out[ROOM];
		size_t len;

		first.sealed[8] = (uint8_t)i;
		first.sealed[9] = 77;
		assert_int_equal(
			open_copy(p.to, first.sealed, first.len, out, &len),
			EACCES);
	}
	assert_int_equal(unseal(&p, &n), EALREADY);
	part(&p);
}

static void a_report_that_is_not_encrypted_is_opened_too(void **state)
{
	/* E is 0: made by hand of the session keys, for AES-CM by HMAC alone */
	struct srtp *s = made(SRTP_CM_SHA1_80, SRTP_IN);
	struct srtp_keys rtp, rtcp;
	uint8_t in[ROOM], mac[20], out[ROOM];
	size_t len = sizeof(their_report);

	(void)state;
	assert_int_equal(srtp_derive(SRTP_CM_SHA1_80, master_key, master_salt,
				     &rtp, &rtcp),
			 0);
	memcpy(in, their_report, len);
	memset(in + len, 0, 4);
	in[len + 3] = 9;
	assert_int_equal(
		sig_hmac_sha1(rtcp.auth, sizeof(rtcp.auth), in, len + 4, mac),
		0);
	memcpy(in + len + 4, mac, 10);
	assert_int_equal(
		open_report(s, in, sizeof(their_report) + 14, out, &len), 0);
	assert_int_equal(len, sizeof(their_report));
	assert_memory_equal(out, their_report, len);
	srtp_free(s);
}

/* ---- memory ------------------------------------------------------------------- */

static long n_allocated;

static void *count_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	n_allocated++;
	return malloc(len);
}

static void *count_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	n_allocated++;
	return realloc(p, len);
}

static void plain_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static void a_packet_allocates_nothing_not_even_in_openssl(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct pair p = pair_of(profiles[i]);
		uint8_t report[8] = {0x80, 201, 0, 1}, out[ROOM];
		uint8_t plain[20] = {0x80, 111};
		uint8_t sealed[64];
		size_t len, n;

		seal(&p, 7, 1);
		expect(&p, 1);
		n_allocated = 0;
		for (uint8_t k = 2; k < 100; k++) {
			plain[3] = k;
			assert_int_equal(srtp_protect(p.from, plain,
						      sizeof(plain), sealed,
						      &len),
					 0);
			assert_int_equal(
				srtp_unprotect(p.to, sealed, len, out, &n), 0);
			assert_int_equal(srtcp_protect(p.from, report,
						       sizeof(report), sealed,
						       &len),
					 0);
			assert_int_equal(
				srtcp_unprotect(p.to, sealed, len, out, &n), 0);
		}
		assert_int_equal(n_allocated, 0);
		part(&p);
	}
}

static void make_and_free(void)
{
	struct srtp *s;

	if (srtp_new(SRTP_GCM_128, SRTP_IN, master_key, master_salt, &s) == 0)
		srtp_free(s);
	srtp_free(NULL);
}

static void without_memory_none_is_made(void **state)
{
	(void)state;
	OOM_SWEEP(make_and_free);
}

static void profiles_have_their_names(void **state)
{
	(void)state;
	assert_string_equal(srtp_profile_name(SRTP_GCM_128),
			    "SRTP_AEAD_AES_128_GCM");
	assert_string_equal(srtp_profile_name(SRTP_CM_SHA1_80),
			    "SRTP_AES128_CM_SHA1_80");
	assert_int_equal(srtp_salt_len(SRTP_GCM_128), 12);
	assert_int_equal(srtp_salt_len(SRTP_CM_SHA1_80), 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_derived_as_in_rfc_3711_b3),
		cmocka_unit_test(the_key_stream_is_that_of_rfc_3711_b2),
		cmocka_unit_test(a_packet_is_sealed_as_in_rfc_7714_16),
		cmocka_unit_test(a_report_is_sealed_as_in_rfc_7714_17),
		cmocka_unit_test(what_libsrtp_has_sealed_is_opened),
		cmocka_unit_test(what_is_sealed_here_is_what_libsrtp_makes),
		cmocka_unit_test(every_bit_of_a_packet_is_authenticated),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(what_has_come_does_not_come_again),
		cmocka_unit_test(numbers_wrap_and_wrap_again),
		cmocka_unit_test(
			one_of_the_cycle_before_is_opened_behind_the_seam),
		cmocka_unit_test(a_number_before_the_first_of_all_is_refused),
		cmocka_unit_test(keys_end),
		cmocka_unit_test(sources_come_and_go_within_the_bound),
		cmocka_unit_test(a_report_that_is_not_encrypted_is_opened_too),
		cmocka_unit_test(
			a_packet_allocates_nothing_not_even_in_openssl),
		cmocka_unit_test(without_memory_none_is_made),
		cmocka_unit_test(profiles_have_their_names),
	};

	/* before OpenSSL's first allocation */
	if (!CRYPTO_set_mem_functions(count_malloc, count_realloc, plain_free))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
