/** test/unit/config_pages_test.c -- what is generated from the table of
 *  settings is what lies in etc/ and docs/. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oom.h"

enum { PAGE_MAX = 256 * 1024 };

static const struct page {
	const char *path;
	void (*write)(struct buf *out);
} pages[] = {
	{"etc/tapeop.yaml", config_write_sample},
	{"docs/settings.md", config_write_markdown},
	{"etc/receive.yaml", config_receive_write_sample},
	{"docs/receive-settings.md", config_receive_write_markdown},
};

static void the_pages_are_those_of_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		struct buf want, got;

		buf_init(&want, PAGE_MAX);
		buf_init(&got, PAGE_MAX);
		pages[i].write(&want);
		assert_int_equal(buf_err(&want), 0);
		assert_int_equal(file_read(pages[i].path, &got), 0);
		if (strcmp(buf_str(&want), buf_str(&got)) != 0)
			fail_msg("%s is not that of the table: run "
				 "config_pages_test --write",
				 pages[i].path);
		buf_fini(&want);
		buf_fini(&got);
	}
}

static void the_sample_loads(void **state)
{
	struct config *c = NULL;
	struct err e = {0};

	(void)state;
	setenv("TAPEOP_SECRET_KEY", "0123456789abcdef", 1);
	if (config_load("etc/tapeop.yaml", &c, &e))
		fail_msg("%s", e.text);
	assert_int_equal(c->n_apps, 1);
	assert_int_equal(c->apps[0].n_endpoints, 1);
	assert_string_equal(c->apps[0].endpoints[0].name, "backend");
	assert_string_equal(c->storage_dir, "./tapeop-data/recordings");
	config_free(c);
}

static void the_sample_of_receive_loads(void **state)
{
	struct config_receive *c = NULL;
	struct err e = {0};

	(void)state;
	setenv("TAPEOP_SECRET_KEY", "0123456789abcdef", 1);
	if (config_receive_load("etc/receive.yaml", &c, &e))
		fail_msg("%s", e.text);
	assert_int_equal(c->n_apps, 1);
	assert_int_equal(c->apps[0].n_keys, 1);
	assert_string_equal(c->apps[0].keys[0].secret, "0123456789abcdef");
	assert_int_equal(c->apps[0].dialects,
			 1 << DIALECT_GME | 1 << DIALECT_LIVE);
	config_receive_free(c);
}

static void fits_on_a_screen(void (*write)(struct buf *out))
{
	struct buf b;
	const char *line;

	buf_init(&b, PAGE_MAX);
	write(&b);
	for (line = buf_str(&b); *line; line++) {
		size_t n = strcspn(line, "\n");

		if (n > 80)
			fail_msg("%.*s", (int)n, line);
		line += n;
	}
	buf_fini(&b);
}

static void the_samples_fit_on_a_screen(void **state)
{
	(void)state;
	fits_on_a_screen(config_write_sample);
	fits_on_a_screen(config_receive_write_sample);
}

static void write_one(void (*write)(struct buf *out))
{
	struct buf b;

	buf_init(&b, PAGE_MAX);
	write(&b);
	assert_true(mem_fail_happened() == (buf_err(&b) != 0));
	buf_fini(&b);
}

static void sweep_sample(void)
{
	write_one(config_write_sample);
}

static void sweep_markdown(void)
{
	write_one(config_write_markdown);
}

static void sweep_receive(void)
{
	write_one(config_receive_write_sample);
}

static void pages_survive_running_out_of_memory(void **state)
{
	(void)state;
	OOM_SWEEP(sweep_sample);
	OOM_SWEEP(sweep_markdown);
	OOM_SWEEP(sweep_receive);
}

static int write_pages(void)
{
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(pages) && !err; i++) {
		struct buf b;

		buf_init(&b, PAGE_MAX);
		pages[i].write(&b);
		err = buf_err(&b);
		if (!err)
			err = file_write_durable(pages[i].path, b.data, b.len);
		buf_fini(&b);
	}
	return err;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pages_are_those_of_the_table),
		cmocka_unit_test(the_sample_loads),
		cmocka_unit_test(the_sample_of_receive_loads),
		cmocka_unit_test(the_samples_fit_on_a_screen),
		cmocka_unit_test(pages_survive_running_out_of_memory),
	};

	if (argc == 2 && !strcmp(argv[1], "--write"))
		return write_pages();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
