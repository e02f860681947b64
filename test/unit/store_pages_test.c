/** test/unit/store_pages_test.c -- all rows of a filter, page by page. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store_aid.h"

enum { TASK = 64, LONG = 2500 /* rows, more than two pages can hold */ };

/** What was read, and how it ends. */
struct reading {
	struct aid *a;
	uint64_t ids[16];
	size_t n, pages;
	size_t fail_in; /* this page fails.. */
	int err;	/* ..with that */
	size_t oom_in;	/* there is no memory behind this page */
	bool closes;	/* what is read does not match the filter any more */
};

static void put_segments(struct aid *a, unsigned n)
{
	struct store_write *w = aid_write();

	for (unsigned i = 0; i < n; i++) {
		struct segment_row s = aid_segment(a, TASK, "alice", i);

		store_put_segment(w, &s);
	}
	aid_commit(a, w, 0);
}

static void close_rows(struct reading *r, const struct store_rows *rows)
{
	struct store_write *w = aid_write();

	for (size_t i = 0; i < rows->n; i++) {
		rows->segments[i].state = SEG_CLOSED;
		store_set_segment(w, &rows->segments[i]);
	}
	aid_commit(r->a, w, 0);
}

static int on_segments(struct store_rows *rows, void *arg)
{
	struct reading *r = arg;

	assert_true(rows->n);
	assert_int_equal(rows->err, 0);
	for (size_t i = 0; i < rows->n; i++)
		r->ids[r->n++] = rows->segments[i].id;
	if (r->closes)
		close_rows(r, rows);
	/* they are its own: where it goes on was noted before */
	rows->segments[rows->n - 1] = rows->segments[0];
	r->pages++;
	if (r->pages == r->oom_in)
		mem_fail_after(0);
	return r->pages == r->fail_in ? r->err : 0;
}

/** Pages of three segments. */
static int read_threes(struct reading *r, struct store_filter f)
{
	f.what = READ_SEGMENTS;
	f.limit = 3;
	return store_read_pages(r->a->s, &f, on_segments, r);
}

static void check_ids(const struct reading *r, size_t pages, size_t n)
{
	assert_int_equal(r->pages, pages);
	assert_int_equal(r->n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(r->ids[i], i + 1);
}

static void every_row_comes_once_and_no_page_is_empty(void **state)
{
	struct aid *a = *state;

	for (unsigned n = 0; n <= 7; n++) {
		struct reading r = {.a = a};

		assert_int_equal(
			read_threes(&r, (struct store_filter){.state = -1}), 0);
		check_ids(&r, (n + 2) / 3, n);
		if (n < 7) {
			struct segment_row s = aid_segment(a, TASK, "alice", n);
			struct store_write *w = aid_write();

			store_put_segment(w, &s);
			aid_commit(a, w, 0);
		}
	}
}

static void reading_begins_where_it_is_told_and_goes_back(void **state)
{
	struct reading r = {.a = *state};
	struct reading back = {.a = *state};

	put_segments(r.a, 7);
	assert_int_equal(
		read_threes(&r, (struct store_filter){.state = -1, .after = 4}),
		0);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.ids[0], 5);
	assert_int_equal(
		read_threes(&back, (struct store_filter){.state = -1,
							 .newest_first = true}),
		0);
	assert_int_equal(back.n, 7);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(back.ids[i], 7 - i);
}

static void what_a_page_changes_hides_no_row_of_the_next(void **state)
{
	struct reading r = {.a = *state, .closes = true};

	put_segments(r.a, 7);
	assert_int_equal(
		read_threes(&r, (struct store_filter){.state = SEG_OPENING}),
		0);
	check_ids(&r, 3, 7);
	r = (struct reading){.a = *state};
	assert_int_equal(
		read_threes(&r, (struct store_filter){.state = SEG_OPENING}),
		0);
	check_ids(&r, 0, 0);
}

static void a_page_that_fails_is_the_last(void **state)
{
	struct reading r = {.a = *state, .fail_in = 2, .err = EINTR};

	put_segments(r.a, 7);
	assert_int_equal(read_threes(&r, (struct store_filter){.state = -1}),
			 EINTR);
	check_ids(&r, 2, 6);
	r = (struct reading){.a = *state, .fail_in = 3, .err = ENOBUFS};
	assert_int_equal(read_threes(&r, (struct store_filter){.state = -1}),
			 ENOBUFS);
	check_ids(&r, 3, 7);
}

static void a_read_that_fails_ends_it_behind_the_pages_before(void **state)
{
	struct reading r = {.a = *state};
	struct reading oom = {.a = *state, .oom_in = 2};

	put_segments(r.a, 7);
	assert_int_equal(read_threes(&r, (struct store_filter){.state = -1,
							       .text = "no"}),
			 EINVAL);
	check_ids(&r, 0, 0);
	assert_int_equal(read_threes(&oom, (struct store_filter){.state = -1}),
			 ENOMEM);
	mem_fail_after(-1);
	check_ids(&oom, 2, 6);
}

/* ---- each kind of row --------------------------------------------------------- */

static int count_row(struct store_rows *rows, void *arg)
{
	assert_int_equal(rows->n, 1);
	++*(size_t *)arg;
	return 0;
}

static size_t count_pages(struct aid *a, enum store_what what,
			  uint64_t delivery)
{
	const struct store_filter f = {
		.what = what, .state = -1, .delivery = delivery, .limit = 1};
	size_t n = 0;

	assert_int_equal(store_read_pages(a->s, &f, count_row, &n), 0);
	return n;
}

static void put_one_of_each(struct aid *a, unsigned n)
{
	const struct task_row t = aid_task(TASK + n);
	const struct input_row in = {.id = store_next_id(a->s, IDS_INPUT),
				     .app = 1,
				     .room = "r",
				     .user = {n ? 'u' : 'v'},
				     .kind = "rtp",
				     .port = 41000 + (int)n};
	const struct event_row e = aid_event(a, TASK, n, NULL);
	const struct delivery_row d = aid_delivery(a, TASK, 7);
	const struct attempt_row at = {.delivery = 1, .n = n + 1};
	struct segment_row s = aid_segment(a, TASK, "alice", n);
	struct wave_row v = {.segment = s.id, .bucket_frames = 4800};
	struct store_write *w = aid_write();
	char peaks[] = "AAAA";

	v.peaks = peaks;
	store_put_task(w, &t);
	store_put_input(w, &in);
	store_put_event(w, &e, &d, 1);
	store_put_attempt(w, &at);
	store_put_segment(w, &s);
	s.state = SEG_CLOSED;
	store_set_segment(w, &s);
	store_put_wave(w, &v);
	aid_commit(a, w, 0);
}

static void rows_of_every_kind_come_in_pages(void **state)
{
	struct aid *a = *state;

	for (unsigned n = 0; n < 2; n++)
		put_one_of_each(a, n);
	for (enum store_what what = READ_TASKS; what <= READ_WAVES; what++) {
		const uint64_t delivery = what == READ_ATTEMPTS;

		assert_int_equal(count_pages(a, what, delivery), 2);
	}
}

static int take_text(struct store_rows *rows, void *arg)
{
	char **text = arg;

	*text = rows->tasks[0].subscribe;
	rows->tasks[0].subscribe = NULL;
	return 0;
}

static void a_text_that_was_taken_stays(void **state)
{
	struct aid *a = *state;
	const struct store_filter f = {.what = READ_TASKS, .state = -1};
	char lists[] = "{\"subscribe\":[\"alice\"]}";
	struct task_row t = aid_task(TASK);
	struct store_write *w = aid_write();
	char *text = NULL;

	t.subscribe = lists;
	store_put_task(w, &t);
	aid_commit(a, w, 0);
	assert_int_equal(store_read_pages(a->s, &f, take_text, &text), 0);
	assert_string_equal(text, lists);
	mem_free(text);
}

/* ---- the segments of a task --------------------------------------------------- */

static void all_segments_of_a_task_are_read(void **state)
{
	struct aid *a = *state;
	struct segment_row *rows = NULL;
	size_t n = 1;

	assert_int_equal(store_read_segments(a->s, TASK, &rows, &n), 0);
	assert_null(rows);
	assert_int_equal(n, 0);
	put_segments(a, LONG);
	assert_int_equal(store_read_segments(a->s, TASK + 1, &rows, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_read_segments(a->s, TASK, &rows, &n), 0);
	assert_int_equal(n, LONG);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(rows[i].id, i + 1);
		assert_int_equal(rows[i].seq, i);
	}
	mem_free(rows);
}

static void segments_that_have_no_room_leave_nothing(void **state)
{
	struct aid *a = *state;
	struct segment_row *rows = NULL;
	size_t n = 0;
	int64_t left = 0;
	int err;

	put_segments(a, LONG);
	for (;;) {
		mem_fail_after(left++);
		err = store_read_segments(a->s, TASK, &rows, &n);
		mem_fail_after(-1);
		if (!err)
			break;
		assert_int_equal(err, ENOMEM);
		assert_null(rows);
		assert_int_equal(n, 0);
	}
	assert_true(left > 3); /* pages */
	assert_int_equal(n, LONG);
	mem_free(rows);
}

/** No row is left behind the reading. */
static int check_memory(void **state)
{
	const int err = aid_teardown(state);

	return err ? err : mem_live() != 0;
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, aid_setup, check_memory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_comes_once_and_no_page_is_empty),
		TEST(reading_begins_where_it_is_told_and_goes_back),
		TEST(what_a_page_changes_hides_no_row_of_the_next),
		TEST(a_page_that_fails_is_the_last),
		TEST(a_read_that_fails_ends_it_behind_the_pages_before),
		TEST(rows_of_every_kind_come_in_pages),
		TEST(a_text_that_was_taken_stays),
		TEST(all_segments_of_a_task_are_read),
		TEST(segments_that_have_no_room_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
