/** test/unit/receive_forward_test.c -- handing events on: to a URL, to a
 *  program. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <signal.h>

#include "receive_aid.h"
#include "tempdir.h"

enum { SEEN_MAX = 32 };

/** The target of --forward. */
struct sink {
	struct http_server *server;
	struct addr at;
	int statuses[4]; /* 0: no answer; the last is repeated */
	size_t n_statuses, at_status;
	const char *retry_after; /* sent with all but 200 */
	unsigned n_seen;
	char path[SEEN_MAX][64], query[SEEN_MAX][512], body[SEEN_MAX][1024];
	char signature[SEEN_MAX][80];
};

static struct sink sink;
static char forward_url[128];

static int add_pair(const char *name, const char *value, void *arg)
{
	char *query = arg;
	size_t len = strlen(query);

	snprintf(query + len, sizeof(sink.query[0]) - len, "%s=%s;", name,
		 value);
	return 0;
}

static void on_gone(void *arg)
{
	(void)arg;
}

static void on_sink(struct http_request *r, void *arg)
{
	const char *signature = http_header(r, "Signature");
	const struct http_field after = {"Retry-After", sink.retry_after};
	struct http_answer a = {.status = sink.statuses[sink.at_status],
				.fields = &after};
	unsigned i = sink.n_seen++;

	(void)arg;
	assert_true(i < SEEN_MAX);
	snprintf(sink.path[i], sizeof(sink.path[i]), "%s", r->path);
	sink.query[i][0] = '\0';
	(void)http_query_each(r, add_pair, sink.query[i]);
	snprintf(sink.body[i], sizeof(sink.body[i]), "%s",
		 (const char *)r->body);
	snprintf(sink.signature[i], sizeof(sink.signature[i]), "%s",
		 signature ? signature : "");
	if (sink.at_status + 1 < sink.n_statuses)
		sink.at_status++;
	a.n_fields = sink.retry_after && a.status != 200;
	if (a.status)
		http_reply(r, &a);
	else
		http_on_gone(r, on_gone, NULL);
}

static int sink_setup(void **state)
{
	struct http_server_config config = {.n_listen = 1,
					    .max_body = 1 << 20,
					    .max_connections = 50,
					    .header_us = PATIENCE_US};
	struct rig *g;

	rig_setup(state);
	g = *state;
	memset(&sink, 0, sizeof(sink));
	sink.statuses[0] = 200;
	sink.n_statuses = 1;
	assert_int_equal(addr_parse("127.0.0.1:0", &config.listen[0]), 0);
	assert_int_equal(
		http_server_open(g->loop, &config, on_sink, NULL, &sink.server),
		0);
	http_server_addr(sink.server, 0, &sink.at);
	snprintf(forward_url, sizeof(forward_url),
		 "http://127.0.0.1:%u/in?token=t",
		 (unsigned)addr_port(&sink.at));
	g->apps[0].forward = forward_url;
	return 0;
}

static int sink_teardown(void **state)
{
	http_server_close(sink.server);
	return rig_teardown(state);
}

#define SINK_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, sink_setup, sink_teardown)

static int64_t pending(struct rig *g)
{
	struct store_totals t;

	store_totals(g->a.s, &t);
	assert_int_equal(t.in, t.delivered + t.pending + t.dead + t.expired);
	return t.pending;
}

/* ---- to a URL ---- */

static void an_event_is_sent_on_once_as_it_came(void **state)
{
	struct rig *g = *state;
	char signature[HASH_TEXT], body[512];
	long long now_s = clock_unix_ms() / 1000;

	rig_open(g);
	/* whatever JSON permits stays as it is */
	snprintf(body, sizeof(body),
		 "\t{\"Extra\":\"\\\"\\\\\\/\\u00e9 \xc3\xa9 \xc2\x80 "
		 "\xe2\x80\xa8 \xf0\x9f\x98\x80 \x7f\",\r\n%s\n",
		 gme_body(APP, 0, 1, 1000) + 1);
	assert_int_equal(call(g, "POST", "/recording?x=a%26b&y",
			      signature_of(KEY, body, false), body),
			 200);
	hash_sign(KEY, body, false, signature);
	UNTIL(g, sink.n_seen == 1 && !pending(g));
	assert_string_equal(sink.path[0], "/in");
	assert_string_equal(sink.query[0], "token=t;x=a&b;y=;");
	assert_string_equal(sink.body[0], body);
	assert_string_equal(sink.signature[0], signature);
	/* A duplicate is not sent on again, nor is what was refused. */
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 2000)), 200);
	assert_int_equal(post_gme(g, gme_body(APP + 1, 0, 1, 2000)), 403);
	assert_int_equal(call(g, "POST", live_target(APP, KEY, now_s), NULL,
			      live_body(305, "{\"Status\":0}")),
			 200);
	UNTIL(g, sink.n_seen == 2 && !pending(g));
	assert_non_null(strstr(sink.query[1], "token=t;SdkAppid=1400000000;"
					      "CallbackCommand="));
	assert_non_null(strstr(sink.query[1], ";OptPlatform=a b;Sign="));
	assert_string_equal(sink.body[1], live_body(305, "{\"Status\":0}"));
	assert_string_equal(sink.signature[1], "");
}

static void a_target_that_fails_is_asked_again_in_order(void **state)
{
	struct rig *g = *state;

	sink.statuses[0] = 500;
	sink.statuses[1] = 200;
	sink.n_statuses = 2;
	rig_open(g);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(post_gme(g, gme_body(APP, i, 1, 1)), 200);
	UNTIL(g, sink.n_seen == 4 && !pending(g));
	assert_string_equal(sink.body[1], sink.body[0]);
	assert_non_null(strstr(sink.body[1], "\"SeqNo\":0"));
	assert_non_null(strstr(sink.body[2], "\"SeqNo\":1"));
	assert_non_null(strstr(sink.body[3], "\"SeqNo\":2"));
	assert_int_equal(g->n_told, 3);
}

/** Of 429 and 503 only: of any other status it is not about being busy. */
static void a_target_that_is_busy_is_waited_for_and_a_broken_one_is_not(
	void **state)
{
	const struct store_filter all = {.what = READ_DELIVERIES, .state = -1};
	struct rig *g = *state;
	struct store_rows rows;
	int64_t wait_ms;

	sink.statuses[0] = 500;
	sink.statuses[1] = 200;
	sink.statuses[2] = 429;
	sink.n_statuses = 3;
	sink.retry_after = "3600";
	rig_open(g);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 200);
	UNTIL(g, sink.n_seen == 2 && !pending(g));
	assert_int_equal(post_gme(g, gme_body(APP, 1, 1, 1)), 200);
	UNTIL(g, sink.n_seen == 3);
	for (wait_ms = 0; !wait_ms;) {
		loop_turn(g->loop, 1000);
		rows = aid_read(&g->a, all);
		assert_int_equal(rows.n, 2);
		if (rows.deliveries[1].last_ms)
			wait_ms = rows.deliveries[1].due_ms -
				  rows.deliveries[1].last_ms;
		store_rows_free(&rows);
	}
	assert_in_range(wait_ms, 3599000, 3601000);
	assert_int_equal(pending(g), 1);
}

static void what_was_not_sent_on_is_sent_on_after_a_restart(void **state)
{
	struct rig *g = *state;

	sink.statuses[0] = 0; /* hangs */
	rig_open(g);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 200);
	assert_int_equal(post_gme(g, gme_body(APP, 1, 1, 1)), 200);
	UNTIL(g, sink.n_seen == 1);
	assert_int_equal(pending(g), 2);
	rig_close(g);
	sink.statuses[0] = 204;
	aid_open(&g->a);
	assert_int_equal(pending(g), 2);
	rig_open(g);
	UNTIL(g, sink.n_seen == 3 && !pending(g));
	assert_string_equal(sink.body[1], sink.body[0]);
	assert_non_null(strstr(sink.body[2], "\"SeqNo\":1"));
	rig_again(g);
	for (int i = 0; i < 20; i++)
		loop_turn(g->loop, 100);
	assert_int_equal(sink.n_seen, 3);
	assert_int_equal(g->n_told, 2);
}

static void what_was_not_stored_is_not_sent_on(void **state)
{
	struct rig *g = *state;

	rig_open(g);
	set_fault(g, "store.commit=ENOSPC");
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 503);
	set_fault(g, NULL);
	assert_int_equal(post_gme(g, gme_body(APP, 1, 1, 1)), 200);
	UNTIL(g, sink.n_seen == 1 && !pending(g));
	assert_non_null(strstr(sink.body[0], "\"SeqNo\":1"));
}

static char said[16384];

static void keep(enum log_level level, const char *line, void *arg)
{
	size_t len = strlen(said);

	(void)level;
	(void)arg;
	snprintf(said + len, sizeof(said) - len, "%s\n", line);
}

/** How often the log says it. */
static unsigned n_said(const char *what)
{
	unsigned n = 0;

	for (const char *p = said; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/** An event of another task. */
static const char *body_of_task(unsigned task)
{
	char *body = (char *)(uintptr_t)gme_body(APP, 0, 1, 1);
	char *at = strstr(body, "446946705284000000");

	assert_non_null(at);
	at[15] = (char)('0' + task / 100 % 10);
	at[16] = (char)('0' + task / 10 % 10);
	at[17] = (char)('0' + task % 10);
	return body;
}

static void a_target_that_is_down_is_probed_soon_and_the_log_says_when(
	void **state)
{
	struct rig *g = *state;

	http_server_close(sink.server); /* nobody listens */
	sink.server = NULL;
	said[0] = '\0';
	log_set_sink(keep, NULL);
	rig_open(g);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(post_gme(g, body_of_task(i)), 200);
	UNTIL(g, n_said("; next probe in 1 s\n"));
	UNTIL(g, n_said("/in failed: ") >= 12);
	log_set_sink(quiet, NULL);
	assert_int_equal(n_said("; next attempt "), n_said("/in failed: "));
	assert_int_equal(pending(g), 12);
	/* the first failure of the first one: as its sender would */
	assert_non_null(strstr(said, "; next attempt at once\n"));
	assert_null(strstr(said, "token=t"));
	assert_int_equal(n_said(" kind=started; next attempt "),
			 n_said("forward to http://"));
	assert_non_null(strstr(said, " task=446946705284000"));
}

/* ---- to a program ---- */

/** An executable file in the rig's folder; its path in a static buffer. */
static const char *program(struct rig *g, const char *name, const char *text)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", g->a.dir, name);
	put_file(path, text, strlen(text));
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

/** What a program wrote into the file `out` beside it; "" when nothing. */
static const char *output(struct rig *g, const char *name)
{
	static char text[8192];
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", g->a.dir, name);
	text[0] = '\0';
	if (file_is_there(path))
		text[get_file(path, text, sizeof(text) - 1)] = '\0';
	return text;
}

static void a_program_gets_the_event_on_its_stdin_as_one_line(void **state)
{
	struct rig *g = *state;
	char want[2 * LINE_CAP + 16];

	g->apps[0].exec = program(g, "a b;touch x",
				  "#!/bin/sh\n"
				  "cd \"$(dirname \"$0\")\"\n"
				  "while read -r e; do\n"
				  "  printf '%s\\n' \"$e\" >>out\n"
				  "done\n"
				  "echo \"$# $e\" >>out\n");
	rig_open(g);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 200);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 2, 1)), 200);
	UNTIL(g, !pending(g));
	snprintf(want, sizeof(want), "%s\n0 \n%s\n0 \n", g->told[0],
		 g->told[1]);
	assert_string_equal(output(g, "out"), want);
	/* The file's name was no command. */
	assert_false(file_is_there("x"));
	assert_string_equal(output(g, "x"), "");
}

static void a_program_that_fails_is_run_again(void **state)
{
	struct rig *g = *state;
	struct store_rows rows;

	g->apps[0].exec = program(g, "p",
				  "#!/bin/sh\n"
				  "cd \"$(dirname \"$0\")\"\n"
				  "echo run >>out\n"
				  "[ -e failed ] && exit 0\n"
				  "touch failed\n"
				  "exit 3\n");
	rig_open(g);
	said[0] = '\0';
	log_set_sink(keep, NULL);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 200);
	UNTIL(g, !pending(g));
	log_set_sink(quiet, NULL);
	assert_int_equal(n_said("exec of "), 1);
	assert_int_equal(n_said("/p failed: it ended with status 3 "
				"task=446946705284000000 kind=started; "
				"next attempt at once\n"),
			 1);
	assert_string_equal(output(g, "out"), "run\nrun\n");
	rows = aid_read(&g->a, (struct store_filter){.what = READ_ATTEMPTS,
						     .delivery = 1,
						     .state = -1});
	assert_int_equal(rows.n, 2);
	assert_string_equal(rows.attempts[0].error[0] ? rows.attempts[0].error
						      : rows.attempts[1].error,
			    "it ended with status 3");
	store_rows_free(&rows);
}

static void a_program_that_is_not_there_loses_no_event(void **state)
{
	struct rig *g = *state;
	struct store_rows rows;

	g->apps[0].exec = "/nonexistent/program";
	rig_open(g);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 200);
	UNTIL(g, aid_count(&g->a, (struct store_filter){.what = READ_ATTEMPTS,
							.delivery = 1,
							.state = -1}) == 2);
	assert_int_equal(pending(g), 1);
	rows = aid_read(&g->a, (struct store_filter){.what = READ_ATTEMPTS,
						     .delivery = 1,
						     .state = -1});
	assert_string_equal(rows.attempts[0].error,
			    "/nonexistent/program cannot be run: No such file "
			    "or directory");
	store_rows_free(&rows);
}

static void a_program_is_a_file_that_may_be_executed(void **state)
{
	struct rig *g = *state;
	const char *path = program(g, "p", "#!/bin/sh\n");
	struct err e = {0};

	assert_int_equal(receive_check_exec(path, &e), 0);
	assert_int_equal(receive_check_exec("sh", &e), 0);
	assert_int_equal(receive_check_exec("no-such-program-anywhere", &e),
			 ENOENT);
	assert_string_equal(
		e.text, "no-such-program-anywhere is not there, nor in PATH");
	assert_int_equal(receive_check_exec("/nonexist", &e), ENOENT);
	assert_string_equal(e.text, "/nonexist is not there");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(receive_check_exec(path, &e), EACCES);
	assert_non_null(strstr(e.text, "is not a file that may be executed"));
	assert_int_equal(receive_check_exec(g->a.dir, &e), EACCES);
}

/* ---- exec alone ---- */

static int exec_status = -1;
static char exec_why[128];

static void on_exec(int status, const char *why, void *arg)
{
	(void)arg;
	exec_status = status;
	snprintf(exec_why, sizeof(exec_why), "%s", why);
}

static void run(struct rig *g, const char *path, int64_t timeout_us)
{
	struct exec *x;

	exec_status = -1;
	assert_int_equal(exec_start(g->loop, path, "text", 4, timeout_us,
				    on_exec, NULL, &x),
			 0);
	UNTIL(g, exec_status >= 0);
}

/** Is the process gone, or a corpse that nobody has fetched? */
static bool is_over(long pid)
{
	char path[64], text[512] = "";
	const char *state;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	if (!file_is_there(path))
		return true;
	text[get_file(path, text, sizeof(text) - 1)] = '\0';
	state = strrchr(text, ')');
	return !state || state[2] == 'Z' || state[2] == 'X';
}

static void a_program_that_takes_too_long_is_killed_with_its_children(
	void **state)
{
	struct rig *g = *state;
	long pid;

	run(g,
	    program(g, "p",
		    "#!/bin/sh\n"
		    "sleep 300 &\n"
		    "echo $! >\"$(dirname \"$0\")/out\"\n"
		    "wait\n"),
	    CLOCK_US_PER_S);
	assert_int_equal(exec_status, 128 + SIGKILL);
	assert_string_equal(exec_why, "killed: it took too long");
	pid = strtol(output(g, "out"), NULL, 10);
	assert_true(pid > 1);
	UNTIL(g, is_over(pid));
}

static void a_program_is_killed_when_the_receiver_stops(void **state)
{
	struct rig *g = *state;
	struct exec *x;
	long pid;

	assert_int_equal(exec_start(g->loop,
				    program(g, "p",
					    "#!/bin/sh\n"
					    "cd \"$(dirname \"$0\")\"\n"
					    "echo $$ >out.part\n"
					    "mv out.part out\n"
					    "sleep 300\n"),
				    "text", 4, PATIENCE_US, on_exec, NULL, &x),
			 0);
	exec_status = -1;
	UNTIL(g, output(g, "out")[0]);
	pid = strtol(output(g, "out"), NULL, 10);
	exec_stop(x);
	assert_true(is_over(pid));
	loop_turn(g->loop, 0);
	assert_int_equal(exec_status, -1); /* nobody was told */
}

static void a_program_starts_as_from_a_clean_shell(void **state)
{
	static const char *const ours[] = {"socket:", "tapeop.db", "[event"};
	struct rig *g = *state;
	unsigned long ignored, blocked;
	const char *out;

	rig_open(g);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 200);
	run(g,
	    program(g, "p",
		    "#!/bin/sh\n"
		    "cd \"$(dirname \"$0\")\"\n"
		    "files=$(ls -l /proc/$$/fd)\n"
		    "one=$(readlink /proc/$$/fd/1)\n"
		    "two=$(readlink /proc/$$/fd/2)\n"
		    "echo \"$files\" >files\n"
		    "echo \"$one\" >one\n"
		    "echo \"$two\" >two\n"
		    "exec grep -E 'SigIgn|SigBlk' /proc/self/status "
		    ">signals\n"),
	    PATIENCE_US);
	assert_int_equal(exec_status, 0);
	assert_string_equal(exec_why, "");
	out = output(g, "signals");
	blocked = strtoul(strstr(out, "SigBlk:") + 7, NULL, 16);
	ignored = strtoul(strstr(out, "SigIgn:") + 7, NULL, 16);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & (1UL << (SIGPIPE - 1)), 0);
	/* Nothing of ours is open in it. */
	out = output(g, "files");
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strstr(out, ours[i]))
			fail_msg("%s is open in it: %s", ours[i], out);
	/* Its output is no part of the stream of events. */
	assert_true(output(g, "one")[0] != '\0');
	snprintf(exec_why, sizeof(exec_why), "%s", output(g, "one"));
	assert_string_equal(exec_why, output(g, "two"));
}

static void a_program_that_reads_nothing_blocks_nobody(void **state)
{
	struct rig *g = *state;
	static char large[1 << 20];
	struct exec *x;

	memset(large, 'x', sizeof(large));
	exec_status = -1;
	assert_int_equal(exec_start(g->loop, "/bin/true", large, sizeof(large),
				    PATIENCE_US, on_exec, NULL, &x),
			 0);
	UNTIL(g, exec_status >= 0);
	assert_int_equal(exec_status, 0);
	assert_int_equal(exec_start(g->loop, "/nonexistent", "x", 1,
				    PATIENCE_US, on_exec, NULL, &x),
			 ENOENT);
	/* No shell: a text file without "#!" is no program. */
	assert_int_equal(exec_start(g->loop, program(g, "p", "exit 0\n"), "x",
				    1, PATIENCE_US, on_exec, NULL, &x),
			 ENOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SINK_TEST(an_event_is_sent_on_once_as_it_came),
		SINK_TEST(a_target_that_fails_is_asked_again_in_order),
		SINK_TEST(
			a_target_that_is_busy_is_waited_for_and_a_broken_one_is_not),
		SINK_TEST(what_was_not_sent_on_is_sent_on_after_a_restart),
		SINK_TEST(what_was_not_stored_is_not_sent_on),
		SINK_TEST(
			a_target_that_is_down_is_probed_soon_and_the_log_says_when),
		RIG_TEST(a_program_gets_the_event_on_its_stdin_as_one_line),
		RIG_TEST(a_program_that_fails_is_run_again),
		RIG_TEST(a_program_that_is_not_there_loses_no_event),
		RIG_TEST(a_program_is_a_file_that_may_be_executed),
		RIG_TEST(
			a_program_that_takes_too_long_is_killed_with_its_children),
		RIG_TEST(a_program_is_killed_when_the_receiver_stops),
		RIG_TEST(a_program_starts_as_from_a_clean_shell),
		RIG_TEST(a_program_that_reads_nothing_blocks_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
