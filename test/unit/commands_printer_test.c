/** test/unit/commands_printer_test.c -- lines for a reader that stands still. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "commands/client.h"
#include "commands/printer.h"

enum { LINE = 1000, PATIENCE_US = 60 * CLOCK_US_PER_S };

struct rig {
	struct loop *loop;
	struct printer *printer;
	int reader, writer;
	size_t n_lines; /* that were read */
};

static size_t n_left_out;

static void on_log(enum log_level level, const char *line, void *arg)
{
	const char *at = strstr(line, "stood still: ");

	(void)level;
	(void)arg;
	if (at)
		n_left_out += strtoul(at + strlen("stood still: "), NULL, 10);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	n_left_out = 0;
	log_set_sink(on_log, NULL);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	g->reader = fds[0];
	g->writer = fds[1];
	assert_int_equal(fcntl(g->reader, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(loop_new(&g->loop), 0);
	assert_int_equal(printer_new(g->loop, g->writer, &g->printer), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	printer_free(g->printer);
	loop_free(g->loop);
	close(g->reader);
	close(g->writer);
	log_set_sink(NULL, NULL);
	free(g);
	return 0;
}

static void print(struct rig *g, size_t from, size_t n)
{
	char line[LINE + 1];

	for (size_t i = from; i < from + n; i++) {
		snprintf(line, sizeof(line), "%0*zu", LINE, i);
		printer_line(g->printer, line, LINE);
	}
}

/** Read what there is; lines come whole and in order, some left out. */
static void take(struct rig *g)
{
	static char text[1 << 16];
	static size_t have;
	static size_t last;
	ssize_t n;

	if (!g->n_lines)
		have = last = 0;
	while ((n = read(g->reader, text + have, sizeof(text) - have)) > 0) {
		size_t at = 0;

		have += (size_t)n;
		for (; have - at > LINE; at += LINE + 1) {
			size_t number = strtoul(text + at, NULL, 10);

			assert_int_equal(text[at + LINE], '\n');
			assert_true(!g->n_lines || number > last);
			last = number;
			g->n_lines++;
		}
		memmove(text, text + at, have - at);
		have -= at;
	}
}

static void take_until(struct rig *g, size_t n)
{
	int64_t until_us = clock_now_us() + PATIENCE_US;

	while (g->n_lines + n_left_out < n) {
		take(g);
		loop_turn(g->loop, 1000);
		if (clock_now_us() > until_us)
			fail_msg("%zu read, %zu left out", g->n_lines,
				 n_left_out);
	}
}

static void all_is_printed_in_order(void **state)
{
	struct rig *g = *state;

	print(g, 0, 5000);
	take_until(g, 5000);
	assert_int_equal(n_left_out, 0);
}

static void beyond_its_limit_lines_are_left_out_and_counted(void **state)
{
	struct rig *g = *state;
	const size_t n = 3 * (PRINTER_MAX / LINE);

	print(g, 0, n); /* nobody reads, and nobody waits */
	take_until(g, n);
	assert_true(n_left_out > 0);
	assert_true(g->n_lines >= PRINTER_MAX / (LINE + 1));
	/* then it goes on */
	print(g, n, 1);
	take_until(g, n + 1);
}

static void a_reader_that_stands_still_is_not_waited_for_at_the_end(
	void **state)
{
	struct rig *g = *state;

	print(g, 0, 5000);
	printer_free(g->printer); /* it would wait for ever */
	g->printer = NULL;
}

static void a_reader_that_has_gone_ends_nothing(void **state)
{
	struct rig *g = *state;

	close(g->reader);
	print(g, 0, 1000);
	for (int i = 0; i < 20; i++)
		loop_turn(g->loop, 1000);
	print(g, 1000, 1000);
	g->reader = -1;
}

static void a_terminal_is_not_steered(void **state)
{
	char text[] = "a\x1b[2J\xc2\x9b\xe2\x80\xae z\xe2\x81\xa6\xd8\x9c"
		      "\xe2\x80\x8f|\xe4\xb8\xad\xd8\xa7\xe2\x82\xac";

	(void)state;
	client_clean(text);
	assert_string_equal(text, "a?[2J????? z????????|\xe4\xb8\xad\xd8\xa7"
				  "\xe2\x82\xac");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_is_printed_in_order),
		TEST(beyond_its_limit_lines_are_left_out_and_counted),
		TEST(a_reader_that_stands_still_is_not_waited_for_at_the_end),
		TEST(a_reader_that_has_gone_ends_nothing),
		cmocka_unit_test(a_terminal_is_not_steered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
