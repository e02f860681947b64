/** test/unit/wire_stun_test.c -- checks and answers, read and written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "stun_aid.h"

/* Source: RFC 5769 sections 2.1, 2.2, 2.3. */
static const char pwd[] = "VOkJxbRl1RmTxUk/WvJxBt";

static const uint8_t request[] = {
	0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01,
	0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10,
	0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c,
	0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
	0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36,
	0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76,
	0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c,
	0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
	0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};

static const uint8_t answer_v4[] = {
	0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01,
	0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b,
	0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20,
	0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
	0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3,
	0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7,
	0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96};

static const uint8_t answer_v6[] = {
	0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01,
	0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b,
	0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20,
	0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa,
	0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
	0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1,
	0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41,
	0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c};

enum { XOR_AT = 36 /* where XOR-MAPPED-ADDRESS stands in both */ };

static const struct stun_addr addr_v4 = {.ip = {192, 0, 2, 1}, .port = 32853};
static const struct stun_addr addr_v6 = {
	.is_v6 = true,
	.ip = {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0x00, 0x11, 0x22,
	       0x33, 0x44, 0x55, 0x66, 0x77},
	.port = 32853};

/** Parse a copy of exactly `len` bytes, so that a sanitizer sees overreads. */
static int parse_copy(const uint8_t *data, size_t len)
{
	uint8_t *copy = test_malloc(len ? len : 1);
	struct stun s;
	int err;

	memcpy(copy, data, len);
	err = stun_parse(copy, len, &s);
	test_free(copy);
	return err;
}

static struct stun parsed(const uint8_t *data, size_t len)
{
	struct stun s;

	assert_int_equal(stun_parse(data, len, &s), 0);
	return s;
}

/* ---- reading --------------------------------------------------------------- */

static void the_vectors_of_rfc_5769_are_read(void **state)
{
	struct stun s = parsed(request, sizeof(request));

	(void)state;
	assert_int_equal(s.class, STUN_REQUEST);
	assert_int_equal(s.method, STUN_BINDING);
	assert_memory_equal(s.id, request + 8, STUN_ID_LEN);
	assert_int_equal(s.username_len, 9);
	assert_memory_equal(s.username, "evtj:h6vY", 9);
	assert_true(s.controlled);
	assert_false(s.controlling || s.use_candidate);
	assert_true(s.has_fingerprint);
	assert_int_equal(s.n_unknown, 0);
	assert_true(stun_is_authentic(&s, request, pwd));
	s = parsed(answer_v4, sizeof(answer_v4));
	assert_int_equal(s.class, STUN_SUCCESS);
	assert_true(stun_is_authentic(&s, answer_v4, pwd));
	s = parsed(answer_v6, sizeof(answer_v6));
	assert_int_equal(s.class, STUN_SUCCESS);
	assert_true(stun_is_authentic(&s, answer_v6, pwd));
}

static void stun_refuses_every_truncation(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(request); len++)
		assert_int_equal(parse_copy(request, len), EBADMSG);
	for (size_t len = 0; len < sizeof(answer_v6); len++)
		assert_int_equal(parse_copy(answer_v6, len), EBADMSG);
	/* also where header and length say so */
	for (size_t len = STUN_HEADER_LEN; len < sizeof(request); len += 4) {
		uint8_t bytes[sizeof(request)];
		struct stun s;

		memcpy(bytes, request, len);
		bytes[3] = (uint8_t)(len - STUN_HEADER_LEN);
		if (parse_copy(bytes, len) == 0) {
			/* cut between two attributes: the last two are
			 * MESSAGE-INTEGRITY and FINGERPRINT */
			s = parsed(bytes, len);
			assert_false(s.has_fingerprint);
			assert_int_equal(stun_is_authentic(&s, bytes, pwd),
					 len == sizeof(request) - 8);
		}
	}
}

static void any_bit_that_flips_is_noticed(void **state)
{
	uint8_t bytes[sizeof(request)];
	struct stun s;
	int n = 0;

	(void)state;
	for (size_t bit = 0; bit < sizeof(request) * 8; bit++) {
		memcpy(bytes, request, sizeof(bytes));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* or a length swallows the attributes that would tell, or
		 * FINGERPRINT itself is another, with no more to say */
		if (parse_copy(bytes, sizeof(bytes)) == 0) {
			s = parsed(bytes, sizeof(bytes));
			assert_false(s.has_fingerprint);
			assert_true(bit / 8 >= sizeof(request) - 8 ||
				    !stun_is_authentic(&s, bytes, pwd));
			n++;
		}
	}
	assert_in_range(n, 1, 40);
}

static void a_wrong_password_is_not_authentic(void **state)
{
	struct stun_made m;
	struct stun s;

	(void)state;
	s = parsed(request, sizeof(request));
	assert_false(stun_is_authentic(&s, request, "VOkJxbRl1RmTxUk/WvJxBu"));
	assert_false(stun_is_authentic(&s, request, ""));
	made_check(&m, 7, "a:b", pwd, true);
	s = parsed(m.bytes, m.len);
	assert_true(stun_is_authentic(&s, m.bytes, pwd));
	assert_true(s.use_candidate && s.controlling);
	/* what it says has been changed, the FINGERPRINT made anew */
	m.bytes[STUN_HEADER_LEN + 4] ^= 1;
	m.len -= 8;
	made_seal(&m);
	s = parsed(m.bytes, m.len);
	assert_false(stun_is_authentic(&s, m.bytes, pwd));
	/* none at all */
	made_begin(&m, STUN_BINDING, 7);
	made_seal(&m);
	s = parsed(m.bytes, m.len);
	assert_int_equal(s.integrity_at, 0);
	assert_false(stun_is_authentic(&s, m.bytes, pwd));
}

static void what_stands_behind_the_integrity_is_not_read(void **state)
{
	struct stun_made m;
	struct stun s;

	(void)state;
	made_begin(&m, STUN_BINDING, 7);
	made_add(&m, 0x0006, "a:b", 3);
	made_sign(&m, pwd);
	made_add(&m, 0x0025, NULL, 0);	/* USE-CANDIDATE */
	made_add(&m, 0x0006, "c:d", 3); /* USERNAME */
	made_add(&m, 0x0777, "x", 1);
	made_seal(&m);
	s = parsed(m.bytes, m.len);
	assert_true(stun_is_authentic(&s, m.bytes, pwd));
	assert_false(s.use_candidate);
	assert_memory_equal(s.username, "a:b", 3);
	assert_int_equal(s.n_unknown, 0);
}

static void unknown_attributes_are_told_if_they_must_be_known(void **state)
{
	struct stun_made m;
	struct stun s;

	(void)state;
	made_begin(&m, STUN_BINDING, 7);
	made_add(&m, 0x8777, "x", 1); /* may be left alone */
	for (int i = 0; i < STUN_UNKNOWN_MAX + 3; i++)
		made_add(&m, (uint16_t)(0x0770 + i), "xyz", 3);
	made_seal(&m);
	s = parsed(m.bytes, m.len);
	assert_int_equal(s.n_unknown, STUN_UNKNOWN_MAX);
	assert_int_equal(s.unknown[0], 0x0770);
	assert_int_equal(s.unknown[7], 0x0777);
}

static void attributes_of_a_wrong_length_are_refused(void **state)
{
	static const struct {
		uint16_t type;
		size_t len;
	} wrong[] = {{0x0008, 19}, {0x0008, 32}, {0x0025, 4}, {0x0024, 3},
		     {0x8029, 4},  {0x802a, 9},	 {0x8028, 8}};
	static const uint8_t value[32];
	struct stun_made m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		made_begin(&m, STUN_BINDING, 7);
		made_add(&m, wrong[i].type, value, wrong[i].len);
		assert_int_equal(parse_copy(m.bytes, m.len), EBADMSG);
	}
	/* FINGERPRINT is the last */
	made_begin(&m, STUN_BINDING, 7);
	made_seal(&m);
	assert_int_equal(parse_copy(m.bytes, m.len), 0);
	made_add(&m, 0x8022, "x", 1);
	assert_int_equal(parse_copy(m.bytes, m.len), EBADMSG);
}

static void the_first_username_counts(void **state)
{
	struct stun_made m;
	struct stun s;

	(void)state;
	made_begin(&m, STUN_BINDING, 7);
	made_add(&m, 0x0006, "a:b", 3);
	made_add(&m, 0x0006, "cc:dd", 5);
	s = parsed(m.bytes, m.len);
	assert_int_equal(s.username_len, 3);
	assert_memory_equal(s.username, "a:b", 3);
}

/* ---- writing --------------------------------------------------------------- */

/** What was written is whole, and an answer to that request. */
static struct stun written(const uint8_t *out, size_t len)
{
	struct stun s;

	assert_in_range(len, STUN_HEADER_LEN, STUN_ANSWER_MAX);
	s = parsed(out, len);
	assert_true(s.has_fingerprint);
	assert_memory_equal(s.id, request + 8, STUN_ID_LEN);
	assert_int_equal(s.method, STUN_BINDING);
	return s;
}

static void a_success_shows_the_address_as_rfc_5769_does(void **state)
{
	const struct stun asked = parsed(request, sizeof(request));
	uint8_t out[STUN_ANSWER_MAX];
	struct stun s;
	size_t len;

	(void)state;
	len = stun_write_success(&asked, &addr_v4, pwd, out);
	s = written(out, len);
	assert_int_equal(s.class, STUN_SUCCESS);
	assert_true(stun_is_authentic(&s, out, pwd));
	assert_memory_equal(out + STUN_HEADER_LEN, answer_v4 + XOR_AT, 12);
	len = stun_write_success(&asked, &addr_v6, pwd, out);
	s = written(out, len);
	assert_true(stun_is_authentic(&s, out, pwd));
	assert_memory_equal(out + STUN_HEADER_LEN, answer_v6 + XOR_AT, 24);
	/* no more than was asked with: nothing to amplify */
	assert_true(len <= sizeof(request));
}

static void an_error_says_its_code(void **state)
{
	const struct stun asked = parsed(request, sizeof(request));
	uint8_t out[STUN_ANSWER_MAX];
	struct stun s;
	size_t len;

	(void)state;
	len = stun_write_error(&asked, STUN_ROLE_CONFLICT, pwd, out);
	s = written(out, len);
	assert_int_equal(s.class, STUN_ERROR);
	assert_true(stun_is_authentic(&s, out, pwd));
	assert_int_equal(out[STUN_HEADER_LEN + 6], 4);
	assert_int_equal(out[STUN_HEADER_LEN + 7], 87);
	len = stun_write_error(&asked, STUN_UNAUTHENTICATED, NULL, out);
	s = written(out, len);
	assert_int_equal(s.integrity_at, 0);
	assert_int_equal(out[STUN_HEADER_LEN + 7], 1);
	assert_true(len <= sizeof(request));
}

static void an_error_420_names_all_that_were_told(void **state)
{
	static const uint8_t expected[] = {0x00, 0x0a, 0x00, 0x10, 0x07,
					   0x70, 0x07, 0x71, 0x07, 0x72};
	struct stun asked = parsed(request, sizeof(request));
	uint8_t out[STUN_ANSWER_MAX];
	struct stun s;
	size_t len;

	(void)state;
	for (int i = 0; i < STUN_UNKNOWN_MAX; i++)
		asked.unknown[i] = (uint16_t)(0x0770 + i);
	asked.n_unknown = STUN_UNKNOWN_MAX;
	len = stun_write_error(&asked, STUN_UNKNOWN_ATTRIBUTE, pwd, out);
	s = written(out, len);
	assert_true(stun_is_authentic(&s, out, pwd));
	assert_int_equal(out[STUN_HEADER_LEN + 7], 20);
	assert_memory_equal(out + STUN_HEADER_LEN + 28, expected,
			    sizeof(expected));
}

/* ---- asking ----------------------------------------------------------------- */

static void a_check_is_what_a_browser_sends(void **state)
{
	static const uint8_t id[STUN_ID_LEN] = {7, 7, 7, 7, 7, 7,
						7, 7, 7, 7, 7, 7};
	struct stun_check c = {.id = id,
			       .username = "evtj:h6vY",
			       .tie_breaker = UINT64_C(0x0102030405060708),
			       .priority = 0x6e7f1eff};
	uint8_t out[STUN_CHECK_MAX];
	struct stun_made m;
	struct stun s;
	size_t len;

	(void)state;
	for (int nominate = 0; nominate < 2; nominate++) {
		c.nominate = nominate;
		len = stun_write_check(&c, pwd, out);
		s = parsed(out, len);
		assert_int_equal(s.class, STUN_REQUEST);
		assert_int_equal(s.method, STUN_BINDING);
		assert_memory_equal(s.id, id, sizeof(id));
		assert_true(stun_is_authentic(&s, out, pwd));
		assert_true(s.controlling && s.has_fingerprint);
		assert_false(s.controlled);
		assert_int_equal(s.use_candidate, nominate);
		assert_int_equal(s.username_len, 9);
		assert_int_equal(s.n_unknown, 0);
	}
	/* the same attributes in another order, so the same length; with the
	 * value of each in it */
	made_check(&m, 7, "evtj:h6vY", pwd, true);
	assert_int_equal(len, m.len);
	assert_non_null(
		memmem(out, len, "\x80\x2a\0\x08\1\2\3\4\5\6\7\10", 12));
	assert_non_null(memmem(out, len, "\0\x24\0\4\x6e\x7f\x1e\xff", 8));
}

static void a_check_has_room_for_the_longest_names(void **state)
{
	static const uint8_t id[STUN_ID_LEN] = {1};
	char username[STUN_USERNAME_MAX + 1];
	const struct stun_check c = {
		.id = id, .username = username, .nominate = true};
	uint8_t out[STUN_CHECK_MAX];
	struct stun s;
	size_t len;

	(void)state;
	memset(username, 'u', STUN_USERNAME_MAX);
	username[STUN_USERNAME_MAX] = 0;
	len = stun_write_check(&c, pwd, out);
	assert_in_range(len, STUN_USERNAME_MAX, STUN_CHECK_MAX);
	s = parsed(out, len);
	assert_int_equal(s.username_len, STUN_USERNAME_MAX);
	assert_true(stun_is_authentic(&s, out, pwd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_5769_are_read),
		cmocka_unit_test(stun_refuses_every_truncation),
		cmocka_unit_test(any_bit_that_flips_is_noticed),
		cmocka_unit_test(a_wrong_password_is_not_authentic),
		cmocka_unit_test(what_stands_behind_the_integrity_is_not_read),
		cmocka_unit_test(
			unknown_attributes_are_told_if_they_must_be_known),
		cmocka_unit_test(attributes_of_a_wrong_length_are_refused),
		cmocka_unit_test(the_first_username_counts),
		cmocka_unit_test(a_success_shows_the_address_as_rfc_5769_does),
		cmocka_unit_test(an_error_says_its_code),
		cmocka_unit_test(an_error_420_names_all_that_were_told),
		cmocka_unit_test(a_check_is_what_a_browser_sends),
		cmocka_unit_test(a_check_has_room_for_the_longest_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
