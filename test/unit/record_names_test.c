/** test/unit/record_names_test.c -- what recordings are called. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/sig.h"

/* 2023-02-09 08:16:45 UTC: 16:16:45 in the sample's zone. */
static const int64_t sample_ms = 1675930605000;

static struct record_name plain(const char *room, const char *user)
{
	return (struct record_name){.app = 1400000000,
				    .room = room,
				    .user = user,
				    .task = 446946705284000000,
				    .start_ms = sample_ms,
				    .zone_minutes = 480};
}

/** The name, and its parts: dir up to the '/', the rest behind it. */
static char written[RECORD_NAME_CAP];

static const char *name_of(struct record_name n)
{
	record_name_write(&n, written, sizeof(written));
	return written;
}

static const char *dir_of(const char *room, const char *user)
{
	name_of(plain(room, user));
	*strchr(written, '/') = 0;
	return written;
}

static void the_sample_of_the_page_comes_out_exactly(void **state)
{
	(void)state;
	assert_string_equal(name_of(plain("100", "999")),
			    "1400000000_100_999/"
			    "2023-02-09-16-16-45_446946705284000000_audio.mp3");
}

static void only_the_mix_is_called_0(void **state)
{
	struct record_name n = plain("100", "0");

	(void)state;
	assert_string_equal(dir_of("100", "0"), "1400000000_100_%30");
	assert_string_equal(dir_of("100", "%30"), "1400000000_100_%2530");
	assert_string_equal(dir_of("100", "00"), "1400000000_100_00");
	n.is_mix = true;
	assert_string_equal(name_of(n),
			    "1400000000_100_0/"
			    "2023-02-09-16-16-45_446946705284000000_audio.mp3");
}

static void ogg_files_are_called_so(void **state)
{
	struct record_name n = plain("100", "999");

	(void)state;
	n.kind = TRACK_OGG_COPY;
	assert_string_equal(name_of(n),
			    "1400000000_100_999/"
			    "2023-02-09-16-16-45_446946705284000000_audio.ogg");
	n.kind = TRACK_OGG_OPUS;
	n.again = true;
	assert_string_equal(strrchr(name_of(n), '_'), "_audio.ogg");
}

static void unsafe_characters_are_percent_encoded(void **state)
{
	static const struct {
		const char *room, *user, *dir;
	} rows[] = {
		{"a b", "c/d", "1400000000_a%20b_c%2Fd"},
		{"..", ".", "1400000000_%2E._%2E"},
		{"../../etc", "passwd", "1400000000_%2E.%2F..%2Fetc_passwd"},
		{"100%", "~x", "1400000000_100%25_%7Ex"},
		{"a.b-c_d", "A9", "1400000000_a.b-c_d_A9"},
		{"\xe6\x88\xbf", "\xc3\xa9", "1400000000_%E6%88%BF_%C3%A9"},
		{"\n\t\\", "\"*?", "1400000000_%0A%09%5C_%22%2A%3F"},
		{"", "", "1400000000__"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(dir_of(rows[i].room, rows[i].user),
				    rows[i].dir);
}

static void a_long_id_is_cut_and_ends_in_its_hash(void **state)
{
	char id[301];
	char whole[400];
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];
	const char *dir;

	(void)state;
	memset(id, 'x', 300);
	id[300] = 0;
	snprintf(whole, sizeof(whole), "1400000000_%s_u", id);
	assert_int_equal(sig_sha256_hex(whole, strlen(whole), hex), 0);
	dir = dir_of(id, "u");
	assert_int_equal(strlen(dir), 200);
	assert_memory_equal(dir, whole, 183);
	assert_int_equal(dir[183], '~');
	assert_memory_equal(dir + 184, hex, 16);
}

static void names_that_differ_behind_the_cut_differ(void **state)
{
	char id[301];
	char first[RECORD_NAME_CAP];

	(void)state;
	memset(id, 'x', 300);
	id[300] = 0;
	memcpy(first, dir_of(id, "u"), RECORD_NAME_CAP);
	assert_string_not_equal(first, dir_of(id, "v"));
}

static void the_cut_never_goes_through_an_escape(void **state)
{
	char id[201];

	(void)state;
	for (int shift = 0; shift < 3; shift++) {
		const char *dir;
		const char *tilde;

		memset(id, ' ', 200);
		memset(id, 'x', (size_t)shift);
		id[200] = 0;
		dir = dir_of(id, "u");
		tilde = strchr(dir, '~');
		assert_non_null(tilde);
		assert_true(strlen(dir) <= 200);
		assert_int_equal(strlen(tilde), 17);
		assert_memory_equal(tilde - 3, "%20", 3);
	}
}

static void the_longest_ids_fit(void **state)
{
	char id[RECORD_NAME_ID_MAX + 1];
	struct record_name n = plain(id, id);

	(void)state;
	memset(id, 0xff, sizeof(id) - 1);
	id[sizeof(id) - 1] = 0;
	n.app = UINT32_MAX;
	n.task = UINT64_MAX;
	n.seq = UINT32_MAX;
	n.again = true;
	assert_true(strlen(name_of(n)) < RECORD_NAME_CAP);
}

static void a_taken_name_gets_the_sequence_number(void **state)
{
	struct record_name n = plain("100", "0");

	(void)state;
	n.is_mix = true;
	n.again = true;
	n.seq = 3;
	assert_string_equal(
		name_of(n),
		"1400000000_100_0/"
		"2023-02-09-16-16-45_446946705284000000_3_audio.mp3");
}

static void the_time_is_in_the_zone_of_the_app(void **state)
{
	static const struct {
		int64_t ms;
		int zone;
		const char *stamp;
	} rows[] = {
		{0, 0, "1970-01-01-00-00-00"},
		{-1, 0, "1969-12-31-23-59-59"},
		{999, -90, "1969-12-31-22-30-00"},
		{1709164799999, 0, "2024-02-28-23-59-59"},
		{1709164799999, 480, "2024-02-29-07-59-59"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct record_name n = plain("r", "u");

		n.start_ms = rows[i].ms;
		n.zone_minutes = rows[i].zone;
		assert_memory_equal(strchr(name_of(n), '/') + 1, rows[i].stamp,
				    strlen(rows[i].stamp));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_of_the_page_comes_out_exactly),
		cmocka_unit_test(only_the_mix_is_called_0),
		cmocka_unit_test(ogg_files_are_called_so),
		cmocka_unit_test(unsafe_characters_are_percent_encoded),
		cmocka_unit_test(a_long_id_is_cut_and_ends_in_its_hash),
		cmocka_unit_test(names_that_differ_behind_the_cut_differ),
		cmocka_unit_test(the_cut_never_goes_through_an_escape),
		cmocka_unit_test(the_longest_ids_fit),
		cmocka_unit_test(a_taken_name_gets_the_sequence_number),
		cmocka_unit_test(the_time_is_in_the_zone_of_the_app),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
