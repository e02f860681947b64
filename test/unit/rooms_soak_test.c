/** test/unit/rooms_soak_test.c -- ten thousand recordings started and stopped:
 *  nothing stays behind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "rooms_aid.h"

enum {
	ROOMS = SANITIZED ? 50 : 400, /* at the same time */
	TALKING = SANITIZED ? 5 : 20, /* rooms with sound in them */
	WARM_UP = SANITIZED ? 150 : 2000,
	ROUNDS = SANITIZED ? 300 : 10000,
	MEMORY_MAX = 2 << 20
};

enum phase { IDLE, STARTING, RUNNING, STOPPING };

struct lap {
	char room[16];
	bool talks;
	enum phase phase;
	struct answer answer;
	uint64_t task;
};

struct soak {
	struct stage *st;
	struct lap laps[ROOMS];
	size_t begun, ended;
};

static bool has_sound(const struct soak *s, const struct lap *l)
{
	struct task_info info;

	return !l->talks || (rooms_task_info(s->st->r, l->task, &info) &&
			     info.segments_open > 0);
}

static void step(struct soak *s, struct lap *l, size_t until)
{
	switch (l->phase) {
	case IDLE:
		if (s->begun == until)
			return;
		s->begun++;
		start(s->st, l->room, &l->answer);
		l->phase = STARTING;
		return;
	case STARTING:
		if (!l->answer.calls)
			return;
		assert_int_equal(l->answer.err, 0);
		l->task = l->answer.id;
		l->phase = RUNNING;
		return;
	case RUNNING:
		if (!has_sound(s, l))
			return;
		stop(s->st, l->task, &l->answer);
		l->phase = STOPPING;
		return;
	case STOPPING:
		if (!l->answer.calls || is_there(s->st, l->task))
			return;
		assert_int_equal(l->answer.err, 0);
		s->ended++;
		l->phase = IDLE;
	}
}

static void go_round(struct soak *s, size_t rounds)
{
	size_t until = s->ended + rounds;

	while (s->ended < until) {
		for (size_t i = 0; i < ROOMS; i++)
			step(s, &s->laps[i], until);
		turn(s->st);
	}
}

/** What is alive when nothing happens. */
struct alive {
	int64_t objects;
	size_t fds, bytes;
};

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/** Wait until packets are used up and jobs that nobody is told of have ended,
 *  too. */
static struct alive look(struct soak *s)
{
	struct alive now = {0};
	int64_t last = -1;
	struct mallinfo2 m;

	s->st->paused = true;
	UNTIL(s->st, files_below(s->st, "spool") == 0);
	turn_for(s->st, 3 * CLOCK_US_PER_S);
	while (last != now.objects) {
		last = now.objects;
		turn_for(s->st, CLOCK_US_PER_S);
		now.objects = mem_live();
	}
	malloc_trim(0);
	m = mallinfo2();
	s->st->paused = false;
	now.fds = count_fds();
	now.bytes = m.uordblks + m.hblkhd;
	return now;
}

static void ten_thousand_recordings_leave_nothing_behind(void **state)
{
	struct stage *st = *state;
	struct soak *s = calloc(1, sizeof(*s));
	int64_t closed = counter_get(COUNT_segments_closed);
	struct alive before, after;

	assert_non_null(s);
	s->st = st;
	st->deaf = true; /* kept connections come and go */
	st->config.media.rtp_port_last += ROOMS;
	begin(st);
	for (size_t i = 0; i < ROOMS; i++) {
		struct lap *l = &s->laps[i];

		snprintf(l->room, sizeof(l->room), "room%zu", i);
		l->talks = i < TALKING;
		add(st, l->room, "alice", &l->answer);
		UNTIL(st, l->answer.calls);
		assert_int_equal(l->answer.err, 0);
		if (l->talks)
			talk(st, l->answer.port);
	}
	go_round(s, WARM_UP);
	before = look(s);
	go_round(s, ROUNDS);
	after = look(s);
	print_message("%d rounds after %d: objects %" PRId64 ", then %" PRId64
		      "; descriptors %zu, %zu; bytes %zu, %zu\n",
		      ROUNDS, WARM_UP, before.objects, after.objects,
		      before.fds, after.fds, before.bytes, after.bytes);
	assert_int_equal(after.objects, before.objects);
	assert_int_equal(after.fds, before.fds);
	assert_true(after.bytes < before.bytes + MEMORY_MAX);
	assert_int_equal(s->ended, WARM_UP + ROUNDS);
	assert_int_equal(counter_get(COUNT_tasks_running), 0);
	assert_int_equal(counter_get(COUNT_segments_open), 0);
	assert_int_equal(counter_get(COUNT_inputs), ROOMS);
	assert_true(counter_get(COUNT_segments_closed) - closed >=
		    (WARM_UP + ROUNDS) / ROOMS * TALKING / 10);
	assert_int_equal(counter_get(COUNT_segments_lost), 0);
	end(st);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(ten_thousand_recordings_leave_nothing_behind),
	};

	return RUN_STAGES(tests);
}
