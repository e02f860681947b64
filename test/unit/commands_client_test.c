/** test/unit/commands_client_test.c -- what the commands that ask a server
 *  read from their command line, and how they print. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "commands/commands.h"
#include "commands/doctor.h"
#include "wire/quote.h"

static char out[8192], why[8192]; /* what was printed last */
static FILE *new_out, *new_err;
static int old_out, old_err;

/** From here to printed_end, stdout and stderr go into files. */
static void printed_begin(void)
{
	new_out = tmpfile();
	new_err = tmpfile();
	assert_true(new_out && new_err);
	fflush(stdout);
	old_out = dup(STDOUT_FILENO);
	old_err = dup(STDERR_FILENO);
	dup2(fileno(new_out), STDOUT_FILENO);
	dup2(fileno(new_err), STDERR_FILENO);
}

static void take(FILE *f, char *text, size_t cap)
{
	size_t len;

	rewind(f);
	len = fread(text, 1, cap - 1, f);
	text[len] = 0;
	fclose(f);
}

static void printed_end(void)
{
	fflush(stdout);
	dup2(old_out, STDOUT_FILENO);
	dup2(old_err, STDERR_FILENO);
	close(old_out);
	close(old_err);
	take(new_out, out, sizeof(out));
	take(new_err, why, sizeof(why));
}

/* ---- the command line ---------------------------------------------------- */

static struct client client;
static const char *room;
static bool dry_run;
static struct client_values users;

static int init(const char *const *words, size_t n)
{
	const struct client_option options[] = {
		{.name = "room", .value = &room},
		{.name = "dry-run", .flag = &dry_run},
		{.name = "user", .values = &users},
	};
	char args[64][64];
	char *argv[65] = {NULL};
	int code;

	assert_true(n < 64);
	room = NULL;
	dry_run = false;
	users.n = 0;
	for (size_t i = 0; i < n; i++) {
		snprintf(args[i], sizeof(args[i]), "%s", words[i]);
		argv[i] = args[i];
	}
	printed_begin();
	code = client_init(&client, (int)n, argv, "the help\n", options,
			   ARRAY_LEN(options));
	printed_end();
	/* argv is gone: nothing of it may be looked at later */
	room = room ? "given" : NULL;
	return code;
}

#define INIT(...)                                          \
	init((const char *const[]){"test", ##__VA_ARGS__}, \
	     ARRAY_LEN(((const char *const[]){"test", ##__VA_ARGS__})))

static int forget_environment(void **state)
{
	(void)state;
	unsetenv("TAPEOP_SERVER");
	unsetenv("TAPEOP_ADMIN_TOKEN");
	return 0;
}

static int close_client(void **state)
{
	(void)state;
	client_close(&client);
	assert_int_equal(mem_live(), 0);
	return forget_environment(state);
}

static void options_are_taken_in_any_order(void **state)
{
	(void)state;
	assert_int_equal(INIT("word", "--user", "a", "--room=r", "--user=b",
			      "--dry-run", "more", "--json"),
			 -1);
	assert_string_equal(why, "");
	assert_non_null(room);
	assert_true(dry_run && client.json);
	assert_int_equal(users.n, 2);
	assert_int_equal(client.n_args, 2);
	assert_string_equal(client.server, "http://127.0.0.1:8080");
	assert_null(client.bearer);
}

static void a_command_may_have_no_options_of_its_own(void **state)
{
	char name[] = "test", json[] = "--json";
	char *argv[] = {name, json, NULL};

	(void)state;
	assert_int_equal(client_init(&client, 2, argv, "", NULL, 0), -1);
	assert_true(client.json);
}

static void bad_options_are_named_in_one_line(void **state)
{
	static const struct {
		const char *words[3];
		const char *said;
	} rows[] = {
		{{"--nope"}, "tapeop test: unknown option --nope; see "},
		{{"-x"}, "tapeop test: unknown option -x; see "},
		{{"-xy"}, "tapeop test: unknown option -x; see "},
		{{"--json", "-x"}, "tapeop test: unknown option -x; see "},
		{{"--room"}, "tapeop test: --room needs a value; see "},
		{{"--json=1"}, "tapeop test: --json takes no value; see "},
		{{"--dry-run=1"},
		 "tapeop test: --dry-run takes no value; see "},
		{{"--server", "ftp://x"}, "tapeop test: --server: a URL "},
		{{"--server", "http://x/?y"}, "tapeop test: --server: must "},
		{{"--token", "env:NO_SUCH"}, "tapeop test: --token: the "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *const *w = rows[i].words;

		assert_int_equal(w[1] ? INIT(w[0], w[1]) : INIT(w[0]),
				 EXIT_USAGE);
		if (strncmp(why, rows[i].said, strlen(rows[i].said)) != 0)
			fail_msg("\"%s\" is not \"%s\"", why, rows[i].said);
		assert_ptr_equal(strchr(why, '\n'), why + strlen(why) - 1);
		assert_string_equal(out, "");
		client_close(&client);
	}
}

static void an_option_is_repeated_twenty_times_at_most(void **state)
{
	const char *words[2 + CLIENT_VALUES_MAX] = {"test"};

	(void)state;
	for (size_t i = 1; i < ARRAY_LEN(words); i++)
		words[i] = "--user=u";
	assert_int_equal(init(words, ARRAY_LEN(words) - 1), -1);
	assert_int_equal(users.n, CLIENT_VALUES_MAX);
	client_close(&client);
	assert_int_equal(init(words, ARRAY_LEN(words)), EXIT_USAGE);
	assert_non_null(strstr(why, "--user: at most 20 times"));
}

static void help_wins(void **state)
{
	(void)state;
	assert_int_equal(INIT("--room", "r", "--help", "--nope"), EXIT_DONE);
	assert_string_equal(out, "the help\n");
	assert_string_equal(why, "");
}

static void server_and_token_come_from_the_environment(void **state)
{
	(void)state;
	setenv("TAPEOP_SERVER", "http://127.0.0.1:9", 1);
	setenv("TAPEOP_ADMIN_TOKEN", "open sesame", 1);
	assert_int_equal(INIT("--json"), -1);
	assert_string_equal(client.server, "http://127.0.0.1:9");
	assert_string_equal(client.bearer, "Authorization: Bearer open sesame");
	assert_string_equal(why, "");
	client_close(&client);
	assert_null(client.bearer);

	/* empty is not set: a script may pass on what it has not got */
	setenv("TAPEOP_SERVER", "", 1);
	setenv("TAPEOP_ADMIN_TOKEN", "", 1);
	assert_int_equal(INIT("--json"), -1);
	assert_string_equal(client.server, "http://127.0.0.1:8080");
	assert_null(client.bearer);
	client_close(&client);

	assert_int_equal(INIT("--token", "secret"), -1);
	assert_non_null(strstr(why, "visible"));
	assert_null(strstr(why, "secret"));
}

static void limits_have_a_range(void **state)
{
	const struct client c = {.command = "test"};
	static const char *const bad[] = {"0", "-1", "1000001", "", "x", "1x"};
	size_t limit = 7;

	(void)state;
	printed_begin();
	assert_int_equal(client_limit(&c, NULL, 50, &limit), EXIT_DONE);
	assert_int_equal(limit, 50);
	assert_int_equal(client_limit(&c, "1", 50, &limit), EXIT_DONE);
	assert_int_equal(client_limit(&c, "1000000", 50, &limit), EXIT_DONE);
	assert_int_equal(limit, 1000000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(client_limit(&c, bad[i], 50, &limit),
				 EXIT_USAGE);
	assert_int_equal(limit, 1000000);
	printed_end();
	assert_non_null(strstr(why, "from 1 to 1000000, is 1x"));
}

/* ---- URLs ------------------------------------------------------------------ */

static void ids_are_one_part_of_a_path(void **state)
{
	const struct client_filter filters[] = {
		{"state", NULL}, {"room", "a&b=c d"}, {"app", "1"}};
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	quote_percent(&b, "a b/../\xc3\xbc?#%&+~-_.");
	assert_string_equal(buf_str(&b),
			    "a%20b%2F..%2F%C3%BC%3F%23%25%26%2B~-_.");
	buf_clear(&b);
	client_write_query("/v1/x", filters, ARRAY_LEN(filters), &b);
	assert_string_equal(buf_str(&b), "/v1/x?room=a%26b%3Dc%20d&app=1&");
	buf_fini(&b);
}

/* ---- for people ------------------------------------------------------------ */

static void times_lengths_and_sizes_have_units(void **state)
{
	char t[CLIENT_WORD_MAX];

	(void)state;
	setenv("TZ", "UTC-2", 1); /* two hours east */
	tzset();
	assert_string_equal(client_time(1700000000999, t),
			    "2023-11-15 00:13:20");
	assert_string_equal(client_time(0, t), "-");
	assert_string_equal(client_duration(0, t), "0:00.00");
	assert_string_equal(client_duration(65999, t), "1:05.99");
	assert_string_equal(client_duration(3599999, t), "59:59.99");
	assert_string_equal(client_duration(3600000, t), "1:00:00");
	assert_string_equal(client_duration(INT64_C(90061001), t), "25:01:01");
	assert_string_equal(client_duration(-5500, t), "0:00.00");
	assert_string_equal(client_size(0, t), "0 B");
	assert_string_equal(client_size(999, t), "999 B");
	assert_string_equal(client_size(1000, t), "1.0 kB");
	assert_string_equal(client_size(999949, t), "999.9 kB");
	assert_string_equal(client_size(999960, t), "1.0 MB");
	assert_string_equal(client_size(INT64_C(5000000000000000), t),
			    "5000.0 TB");
}

static void tables_line_up_whatever_the_script(void **state)
{
	struct client_table t = {.n_columns = 2};
	static const char *const ids[] = {"USER", "zo\xc3\xab",
					  "\xe6\x97\xa5\xe6\x9c\xac",
					  "e\xcc\x81", "\xff"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		client_cell(&t, "%s", ids[i]);
		client_cell(&t, "|");
	}
	printed_begin();
	client_table_print(&t);
	printed_end();
	assert_string_equal(out, "USER  |\n"
				 "zo\xc3\xab   |\n"
				 "\xe6\x97\xa5\xe6\x9c\xac  |\n"
				 "e\xcc\x81     |\n"
				 "\xff     |\n");
	assert_int_equal(t.n, 0);
	assert_int_equal(mem_live(), 0);
}

static void nothing_that_a_terminal_would_obey_is_printed(void **state)
{
	const struct client c = {.command = "test"};
	struct client_table t = {.n_columns = 1};
	static const char evil[] = "a\x1b[2J\nb\x7f\xc2\x9b"
				   "c";

	(void)state;
	client_cell(&t, "%s", evil);
	printed_begin();
	client_say("%s", evil);
	client_table_print(&t);
	assert_int_equal(client_fail(&c, 1, "%s", evil), 1);
	printed_end();
	assert_string_equal(out, "a?[2J?b???c\na?[2J?b???c\n");
	assert_string_equal(why, "tapeop test: a?[2J?b???c\n");
}

static void long_lines_are_not_cut(void **state)
{
	char text[4000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	printed_begin();
	client_say("%s", text);
	printed_end();
	assert_int_equal(strlen(out), sizeof(text));
}

/* ---- doctor ---------------------------------------------------------------- */

static void doctor_judges_clocks(void **state)
{
	const char *text;

	(void)state;
	assert_int_equal(doctor_judge_clock(0, TIME_OK, &text), DOCTOR_FAIL);
	assert_int_equal(doctor_judge_clock(1704067199, TIME_OK, &text),
			 DOCTOR_FAIL);
	assert_int_equal(doctor_judge_clock(1704067200, TIME_OK, &text),
			 DOCTOR_OK);
	assert_int_equal(doctor_judge_clock(1704067200, TIME_ERROR, &text),
			 DOCTOR_WARN);
	/* a kernel that may not be asked is no reason to worry */
	assert_int_equal(doctor_judge_clock(1704067200, -1, &text), DOCTOR_OK);
}

static void doctor_judges_dates(void **state)
{
	enum { DAY = 24 * 3600, NOW = 1000 * DAY };
	const char *says, *advice;

	(void)state;
	assert_int_equal(
		doctor_judge_dates(NOW, NOW, NOW + 3 * DAY, &says, &advice),
		DOCTOR_OK);
	assert_string_equal(advice, "");
	assert_int_equal(
		doctor_judge_dates(NOW, NOW, NOW + 3 * DAY - 1, &says, &advice),
		DOCTOR_WARN);
	assert_int_equal(
		doctor_judge_dates(NOW, NOW + 1, NOW + 9 * DAY, &says, &advice),
		DOCTOR_WARN);
	assert_non_null(strstr(says, "not good yet"));
	assert_int_equal(doctor_judge_dates(NOW, 0, NOW, &says, &advice),
			 DOCTOR_WARN);
	assert_string_equal(says, "has ended");
}

static void doctor_judges_what_a_socket_holds(void **state)
{
	const char *advice;
	int speakers;

	(void)state;
	assert_int_equal(doctor_judge_room(8 << 20, &speakers, &advice),
			 DOCTOR_OK);
	assert_int_equal(speakers, 8603);
	assert_string_equal(advice, "");
	/* Debian's usual: enough for most, and it says how to have more */
	assert_int_equal(doctor_judge_room(208 << 10, &speakers, &advice),
			 DOCTOR_OK);
	assert_int_equal(speakers, 218);
	assert_non_null(strstr(advice, "net.core.rmem_max=8388608"));
	assert_int_equal(doctor_judge_room(64 << 10, &speakers, &advice),
			 DOCTOR_WARN);
	assert_int_equal(doctor_judge_room(0, &speakers, &advice), DOCTOR_WARN);
}

static void doctor_judges_modes(void **state)
{
	const char *text;

	(void)state;
	assert_int_equal(doctor_judge_mode(S_IFREG | 0600, &text), DOCTOR_OK);
	assert_int_equal(doctor_judge_mode(S_IFREG | 0640, &text), DOCTOR_OK);
	assert_int_equal(doctor_judge_mode(S_IFREG | 0644, &text), DOCTOR_WARN);
	assert_int_equal(doctor_judge_mode(S_IFREG | 0602, &text), DOCTOR_WARN);
	assert_non_null(strstr(text, "written"));
}

static void doctor_judges_ways(void **state)
{
	static const char *const closed[] = {
		"https://203.0.113.9",	 "https://s3.example.com",
		"http://127.0.0.1:9000", "http://10.1.2.3",
		"http://[::1]:9000",	 "http://[fd00::1]",
		"http://169.254.1.1",
	};
	static const char *const open[] = {"http://8.8.8.8",
					   "http://[2606:4700::1]:9000"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(closed); i++)
		assert_int_equal(doctor_judge_way(closed[i]),
				 DOCTOR_WAY_CLOSED);
	for (size_t i = 0; i < ARRAY_LEN(open); i++)
		assert_int_equal(doctor_judge_way(open[i]), DOCTOR_WAY_OPEN);
	assert_int_equal(doctor_judge_way("http://minio.internal:9000"),
			 DOCTOR_WAY_BY_NAME);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, forget_environment, close_client)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(options_are_taken_in_any_order),
		T(a_command_may_have_no_options_of_its_own),
		T(bad_options_are_named_in_one_line),
		T(an_option_is_repeated_twenty_times_at_most),
		T(help_wins),
		T(server_and_token_come_from_the_environment),
		T(limits_have_a_range),
		T(ids_are_one_part_of_a_path),
		T(times_lengths_and_sizes_have_units),
		T(tables_line_up_whatever_the_script),
		T(nothing_that_a_terminal_would_obey_is_printed),
		T(long_lines_are_not_cut),
		T(doctor_judges_clocks),
		T(doctor_judges_dates),
		T(doctor_judges_what_a_socket_holds),
		T(doctor_judges_modes),
		T(doctor_judges_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
