/** test/unit/wire_sse_test.c -- reading server-sent events. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oom.h"
#include "wire/sse.h"

/** Blocks as text: "id|name|data;", "-" for no data. */
struct seen {
	char text[1024];
	int err; /* to return */
};

static int on_block(const struct sse_block *b, void *arg)
{
	struct seen *s = arg;
	size_t at = strlen(s->text);

	snprintf(s->text + at, sizeof(s->text) - at, "%s|%s|%s;", b->id,
		 b->name, b->data ? b->data : "-");
	if (b->data)
		assert_int_equal(strlen(b->data), b->len);
	return s->err;
}

/** Read it in pieces of `step` bytes. */
static int read_in(const char *text, size_t step, struct seen *seen)
{
	struct sse_reader r;
	size_t len = strlen(text);
	int err = 0;

	*seen = (struct seen){0};
	sse_init(&r, 100);
	for (size_t at = 0; !err && at < len; at += step)
		err = sse_read(&r, text + at, len - at < step ? len - at : step,
			       on_block, seen);
	sse_fini(&r);
	return err;
}

static void sse_reads_the_same_however_it_is_cut(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{":\n\n", ""},
		{": from 4\nid: 4\nretry: 2000\n\n", "4|message|-;"},
		{"id: 7\nevent: started\ndata: {\"a\":1}\n\n",
		 "7|started|{\"a\":1};"},
		{"data:x\n\ndata:  y\n\n", "|message|x;|message| y;"},
		{"data: a\ndata\ndata: b\n\n", "|message|a\n\nb;"},
		{"id: 1\rdata: x\r\r", "1|message|x;"},
		{"id: 1\r\ndata: x\r\n\r\n", "1|message|x;"},
		{"id: 1\ndata: x\n\ndata: y\n\n", "1|message|x;1|message|y;"},
		/* a name is of its block only; of a block that is cut off
		 * nothing counts */
		{"event: a\n\ndata: x\n\nid: 2\ndata: y\n", "|message|x;"},
		{"datax: x\nid x: 3\nfoo\n\n", ""},
		{"id\ndata\n\n", "|message|;"},
	};
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t step = 1; step < 20; step++) {
			assert_int_equal(read_in(cases[i].text, step, &seen),
					 0);
			assert_string_equal(seen.text, cases[i].want);
		}
	}
}

static void sse_ignores_an_id_with_a_nul(void **state)
{
	static const char text[] = "id: 1\n\nid: 2\0003\ndata: x\n\n";
	struct sse_reader r;
	struct seen seen = {0};

	(void)state;
	sse_init(&r, 100);
	assert_int_equal(sse_read(&r, text, sizeof(text) - 1, on_block, &seen),
			 0);
	assert_string_equal(seen.text, "1|message|-;1|message|x;");
	sse_fini(&r);
}

static void sse_refuses_what_is_too_long_and_stops_when_told(void **state)
{
	char text[256];
	struct seen seen;
	struct sse_reader r;

	(void)state;
	/* a line, data of several lines, an id, a name */
	snprintf(text, sizeof(text), "data: %0100d\n\n", 1);
	assert_int_equal(read_in(text, 7, &seen), EMSGSIZE);
	snprintf(text, sizeof(text), "data: %060d\ndata: %060d\n\n", 1, 1);
	assert_int_equal(read_in(text, 7, &seen), EMSGSIZE);
	snprintf(text, sizeof(text), "id: %064d\n\n", 1);
	assert_int_equal(read_in(text, 7, &seen), EMSGSIZE);
	snprintf(text, sizeof(text), "event: %064d\n\n", 1);
	assert_int_equal(read_in(text, 7, &seen), EMSGSIZE);
	assert_string_equal(seen.text, "");

	seen = (struct seen){.err = EAGAIN};
	sse_init(&r, 100);
	assert_int_equal(
		sse_read(&r, "id: 1\n\nid: 2\n\n", 14, on_block, &seen),
		EAGAIN);
	assert_string_equal(seen.text, "1|message|-;");
	sse_fini(&r);
}

static void read_without_memory(void)
{
	struct seen seen;
	int err = read_in("id: 1\nevent: a\ndata: x\ndata: y\n\n", 5, &seen);

	assert_true(!err || err == ENOMEM);
	assert_string_equal(seen.text, err ? "" : "1|a|x\ny;");
}

static void sse_survives_every_failed_allocation(void **state)
{
	(void)state;
	OOM_SWEEP(read_without_memory);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sse_reads_the_same_however_it_is_cut),
		T(sse_ignores_an_id_with_a_nul),
		T(sse_refuses_what_is_too_long_and_stops_when_told),
		T(sse_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
