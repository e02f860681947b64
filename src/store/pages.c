/** store/pages.c -- all rows of a filter, a page at a time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

/** What the next page comes after. */
static uint64_t last_id(enum store_what what, const struct store_rows *rows)
{
	const size_t last = rows->n - 1;

	switch (what) {
	case READ_TASKS:
		return rows->tasks[last].id;
	case READ_SEGMENTS:
		return rows->segments[last].id;
	case READ_INPUTS:
		return rows->inputs[last].id;
	case READ_EVENTS:
		return rows->events[last].id;
	case READ_DELIVERIES:
		return rows->deliveries[last].id;
	case READ_ATTEMPTS:
		return rows->attempts[last].n;
	case READ_WAVES:
		return rows->waves[last].segment;
	}
	assert(false);
	return 0;
}

int store_read_pages(struct store *s, const struct store_filter *f,
		     store_page_fn *fn, void *arg)
{
	struct store_filter page = *f;
	bool more = true;
	int err = 0;

	while (more && !err) {
		struct store_rows rows;

		err = read_page(s, &page, &rows);
		if (err)
			return err;
		more = rows.more;
		if (rows.n) {
			/* first: `fn` may put them into another order */
			page.after = last_id(f->what, &rows);
			err = fn(&rows, arg);
		}
		store_rows_free(&rows);
	}
	return err;
}

/** Segments that grow page by page. */
struct gathered {
	struct segment_row *rows;
	size_t n;
};

static int gather(struct store_rows *page, void *arg)
{
	struct gathered *all = arg;
	struct segment_row *grown =
		mem_realloc(all->rows, (all->n + page->n) * sizeof(*grown));

	if (!grown)
		return ENOMEM;
	memcpy(grown + all->n, page->segments, page->n * sizeof(*grown));
	all->rows = grown;
	all->n += page->n;
	return 0;
}

int store_read_segments(struct store *s, uint64_t task,
			struct segment_row **rows, size_t *n)
{
	const struct store_filter f = {.what = READ_SEGMENTS,
				       .task = task,
				       .state = -1,
				       .limit = PAGE_ROWS_MAX};
	struct gathered all = {0};
	int err = store_read_pages(s, &f, gather, &all);

	if (err) {
		mem_free(all.rows);
		return err;
	}
	*rows = all.rows;
	*n = all.n;
	return 0;
}
