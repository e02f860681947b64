/** control/health.c -- metrics (Prometheus text) and health. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/mem.h"
#include "control/call.h"

enum { TEXT_MAX = 256 * 1024 };

static void write_help(struct buf *b, const struct counter_info *i)
{
	buf_printf(b, "# HELP tapeop_%s%s %s [%s]", i->name,
		   i->kind == COUNTER_TOTAL ? "_total" : "", i->meaning,
		   i->unit);
	if (i->helps[0])
		buf_printf(b, " - %s", i->helps);
	buf_printf(b, "\n# TYPE tapeop_%s%s %s\n", i->name,
		   i->kind == COUNTER_TOTAL ? "_total" : "",
		   i->kind == COUNTER_TOTAL ? "counter" : "gauge");
}

/** The clock may have been set back meanwhile. */
static int64_t oldest_s(const struct upload_status *u)
{
	const int64_t past_ms =
		u->oldest_ms ? clock_unix_ms() - u->oldest_ms : 0;

	return past_ms > 0 ? past_ms / 1000 : 0;
}

void metrics_show(struct call *c)
{
	const struct counter_info *table = counter_table();
	struct upload_status uploads;
	struct loop_stats stats;
	struct buf b;

	rooms_upload_status(c->control->rooms, &uploads);
	buf_init(&b, TEXT_MAX);
	for (int i = 0; i < COUNT_N; i++) {
		write_help(&b, &table[i]);
		buf_printf(&b, "tapeop_%s%s %" PRId64 "\n", table[i].name,
			   table[i].kind == COUNTER_TOTAL ? "_total" : "",
			   counter_get((enum counter)i));
	}
	loop_stats(c->control->loop, &stats);
	buf_printf(&b,
		   "# HELP tapeop_control_loop_longest_us longest callback of "
		   "the control loop [us]\n"
		   "# TYPE tapeop_control_loop_longest_us gauge\n"
		   "tapeop_control_loop_longest_us %" PRId64 "\n"
		   "# HELP tapeop_allocations live allocations\n"
		   "# TYPE tapeop_allocations gauge\n"
		   "tapeop_allocations %" PRId64 "\n"
		   "# HELP tapeop_uploads_oldest_seconds how long the oldest "
		   "closed segment waits for storage\n"
		   "# TYPE tapeop_uploads_oldest_seconds gauge\n"
		   "tapeop_uploads_oldest_seconds %" PRId64 "\n"
		   "# HELP tapeop_upload_bytes_per_second put into storage, "
		   "smoothed\n"
		   "# TYPE tapeop_upload_bytes_per_second gauge\n"
		   "tapeop_upload_bytes_per_second %" PRId64 "\n"
		   "# HELP tapeop_disk_free_bytes free for us below data_dir "
		   "[bytes]; -1: cannot be told\n"
		   "# TYPE tapeop_disk_free_bytes gauge\n"
		   "tapeop_disk_free_bytes %" PRId64 "\n",
		   stats.longest_us, mem_live(), oldest_s(&uploads),
		   uploads.bytes_s, rooms_free_bytes(c->control->rooms));
	call_text(c, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
	buf_fini(&b);
}

void health_show(struct call *c)
{
	call_reply(c, 200, json_pack("{s:s}", "status", "ok"));
}

void ready_show(struct call *c)
{
	char why[160];

	if (rooms_is_ready(c->control->rooms, why, sizeof(why)))
		call_reply(c, 200, json_pack("{s:s}", "status", "ready"));
	else
		call_problem(c, 503, "", "%s", why);
}
