/**
 * test/unit/rooms_aid.h -- a whole node in a folder of its own: store, notify,
 * rooms with media loops, speakers who send a tone, and an endpoint that
 * keeps what it is told.
 *
 * Time is real: whoever waits turns the loop until a condition holds.  So each
 * test is a process of its own, and some run at the same time.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_ROOMS_AID_H
#define TEST_UNIT_ROOMS_AID_H

/* Needs cmocka.h. */
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/list.h"
#include "base/log.h"
#include "notify/notify.h"
#include "record/record.h"
#include "record_aid.h"
#include "rooms/rooms.h"
#include "store_aid.h"
#include "tempdir.h"
#include "tone.h"
#include "wire/rtp.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
	APP = 1400000000,
	PORTS = 200,
	PORT_FIRST = 12000,
	PORT_SLOTS = 95,  /* below those that the kernel hands out */
	GME_UPLOADED = 3, /* EventType */
	AT_ONCE = 10,	  /* tests */
	PATIENCE_US = 100 * CLOCK_US_PER_S,
	PACKETS = 50, /* a second, sent again and again */
	PACKET_FRAMES = 960,
	PACKET_US = 20 * 1000,
	SPEAKERS = 64,
	TOLD_MAX = 4096,
	SEGMENTS_MAX = 1000
};

/** Somebody who sends a tone to a port. */
struct speaker {
	int fd; /* -1: nobody */
	struct addr to;
	int64_t next_us;
	uint16_t seq;
	uint32_t ts;
};

/** A callback that was new to the endpoint. */
struct told {
	uint64_t id, sequence, task;
	int type;
	uint32_t seq;
	char user[ID_MAX + 1];
};

struct stage {
	struct aid a;
	struct loop *loop;
	struct workers *workers;
	struct notify *n;
	struct rooms *r;
	struct http_server *sink;
	struct addr sink_addr;
	struct told *told; /* TOLD_MAX */
	size_t n_told, repeats;
	struct app_config app;
	bool has_app;
	struct rooms_config config;
	bool deaf;   /* no endpoint */
	bool paused; /* nobody speaks */
	char storage[128];
	struct speaker speakers[SPEAKERS];
	bool stopped;
	const void *of; /* the test's initial state */
};

/** What a call came back with. */
struct answer {
	unsigned calls;
	int err;
	char text[256];
	uint64_t id;
	uint16_t port;
	enum task_state state;
};

/* ---- turning ---- */

static struct {
	uint8_t bytes[1275];
	size_t len;
} tone_packets[PACKETS];

static inline void tone_prepare(void)
{
	struct tone t;

	if (tone_packets[0].len)
		return;
	tone_init(&t, 1, PACKET_FRAMES, 400);
	for (int i = 0; i < PACKETS; i++)
		tone_packets[i].len = tone_next(&t, tone_packets[i].bytes);
	tone_fini(&t);
}

static inline void speak(struct speaker *s, int64_t now_us)
{
	if (now_us - s->next_us > CLOCK_US_PER_S) /* we were held up */
		s->next_us = now_us;
	while (s->next_us <= now_us) {
		unsigned i = s->seq % PACKETS;
		struct rtp_packet head = {
			.pt = 111, .seq = s->seq, .ts = s->ts, .ssrc = 7};
		uint8_t packet[RTP_HEADER_LEN + 1275];

		rtp_write_header(&head, packet);
		memcpy(packet + RTP_HEADER_LEN, tone_packets[i].bytes,
		       tone_packets[i].len);
		(void)!sendto(s->fd, packet,
			      RTP_HEADER_LEN + tone_packets[i].len, 0,
			      &s->to.sa, s->to.len);
		s->seq++;
		s->ts += PACKET_FRAMES;
		s->next_us += PACKET_US;
	}
}

static inline void turn(struct stage *st)
{
	int64_t now_us = clock_now_us();

	for (size_t i = 0; i < SPEAKERS; i++) {
		if (st->speakers[i].fd >= 0 && !st->paused)
			speak(&st->speakers[i], now_us);
	}
	loop_turn(st->loop, 2000);
}

#define UNTIL(st, condition)                                      \
	do {                                                      \
		int64_t until_us = clock_now_us() + PATIENCE_US;  \
                                                                  \
		while (!(condition) && clock_now_us() < until_us) \
			turn(st);                                 \
		assert_true(condition);                           \
	} while (0)

static inline void turn_for(struct stage *st, int64_t us)
{
	int64_t until_us = clock_now_us() + us;

	while (clock_now_us() < until_us)
		turn(st);
}

/* ---- the endpoint ---- */

static inline void sink_note(struct stage *st, struct http_request *r)
{
	uint64_t id = strtoull(http_header(r, "Tapeop-Event-Id"), NULL, 10);
	json_t *body = json_loadb((const char *)r->body, r->body_len, 0, NULL);
	json_t *detail = json_object_get(body, "Detail");
	struct told *t = &st->told[st->n_told];

	assert_non_null(body);
	for (size_t i = 0; i < st->n_told; i++) {
		if (st->told[i].id == id) {
			st->repeats++;
			json_decref(body);
			return;
		}
	}
	assert_true(st->n_told + 1 < TOLD_MAX);
	*t = (struct told){
		.id = id,
		.sequence =
			strtoull(http_header(r, "Tapeop-Sequence"), NULL, 10),
		.task = (uint64_t)json_integer_value(
			json_object_get(body, "TaskID")),
		.type = (int)json_integer_value(
			json_object_get(body, "EventType")),
		.seq = (uint32_t)json_integer_value(
			json_object_get(detail, "SeqNo")),
	};
	str_copy(t->user, sizeof(t->user),
		 json_string_value(json_object_get(body, "UserID")));
	st->n_told++;
	json_decref(body);
}

static inline void on_told(struct http_request *r, void *arg)
{
	const struct http_answer ok = {.status = 200, .body = ""};

	sink_note(arg, r);
	http_reply(r, &ok);
}

static inline void sink_open(struct stage *st)
{
	struct http_server_config config = {.n_listen = 1,
					    .max_body = 1 << 20,
					    .max_connections = 100,
					    .header_us = PATIENCE_US};

	st->told = calloc(TOLD_MAX, sizeof(*st->told));
	assert_non_null(st->told);
	assert_int_equal(addr_parse("127.0.0.1:0", &config.listen[0]), 0);
	assert_int_equal(
		http_server_open(st->loop, &config, on_told, st, &st->sink), 0);
	http_server_addr(st->sink, 0, &st->sink_addr);
}

/* ---- beginning and ending ---- */

static inline void begin_notify(struct stage *st)
{
	struct notify_config config = {.deliver = {.max_in_flight = 16}};
	char url[64];
	struct notify_endpoint e = {.app = APP,
				    .enabled = true,
				    .name = "backend",
				    .url = url,
				    .dialect = DIALECT_GME,
				    .key = "test-secret-key",
				    .timeout_us = PATIENCE_US,
				    .allow_private = true};
	struct err err = {0};

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/told",
		 (unsigned)addr_port(&st->sink_addr));
	for (int k = 0; k < EVENT_KIND_N; k++)
		e.kinds[k] = true;
	assert_int_equal(deliver_retry_parse("tencent", &e.retry, &err), 0);
	assert_int_equal(
		notify_new(st->loop, st->a.s, st->workers, &config, &st->n), 0);
	if (!st->deaf)
		assert_int_equal(notify_set_endpoint(st->n, &e, &err), 0);
	assert_int_equal(notify_start(st->n), 0);
}

/** Start the node; what runs already in the store is resumed. */
static inline void begin(struct stage *st)
{
	struct err e = {0};

	aid_open(&st->a);
	begin_notify(st);
	st->stopped = false;
	if (rooms_new(st->loop, st->a.s, st->n, &st->config, &st->app,
		      st->has_app ? 1 : 0, &st->r, &e))
		fail_msg("rooms_new: %s", e.text);
}

static inline void on_stage_stopped(void *arg)
{
	struct stage *st = arg;

	assert_false(st->stopped);
	st->stopped = true;
}

/** Free a node that has stopped. */
static inline void end_stopped(struct stage *st)
{
	UNTIL(st, st->stopped);
	notify_pause(st->n);
	UNTIL(st, !notify_in_flight(st->n));
	rooms_free(st->r);
	st->r = NULL;
	notify_free(st->n);
	st->n = NULL;
	for (int i = 0; i < 20; i++)
		loop_turn(st->loop, 0);
	store_close(st->a.s);
	st->a.s = NULL;
}

static inline void end(struct stage *st)
{
	rooms_stop(st->r, on_stage_stopped, st);
	end_stopped(st);
}

/** Stop the node at once, and start it again. */
static inline void again(struct stage *st)
{
	end(st);
	begin(st);
}

/** From now on; NULL: none.  A node that is running goes by it, too. */
static inline void set_fault(const char *fault)
{
	if (fault)
		setenv("TAPEOP_FAULT", fault, 1);
	else
		unsetenv("TAPEOP_FAULT");
	crash_reload();
}

static unsigned port_slot;

/** Tests that run at the same time have ports of their own, in whatever process:
 *  each holds a name that stands for its ports until it ends. */
static inline void claim_ports(void)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	for (int tries = 0; tries < PORT_SLOTS; tries++, port_slot++) {
		struct sockaddr_un at = {.sun_family = AF_UNIX};
		const size_t begin = offsetof(struct sockaddr_un, sun_path);
		int len = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1,
				   "tapeop-test-ports-%u",
				   port_slot % PORT_SLOTS);

		if (!bind(fd, (const struct sockaddr *)&at,
			  (socklen_t)(begin + 1 + (size_t)len)))
			return;
		assert_int_equal(errno, EADDRINUSE);
	}
}

static inline uint16_t first_port(void)
{
	return (uint16_t)(PORT_FIRST + port_slot % PORT_SLOTS * PORTS);
}

static inline void stage_quiet(enum log_level level, const char *line,
			       void *arg)
{
	(void)level;
	(void)arg;
	if (getenv("TAPEOP_TEST_LOG"))
		fprintf(stderr, "%s\n", line);
}

static inline int stage_setup(void **state)
{
	struct stage *st = calloc(1, sizeof(*st));

	assert_non_null(st);
	st->of = *state;
	log_set_sink(stage_quiet, NULL);
	tone_prepare();
	for (size_t i = 0; i < SPEAKERS; i++)
		st->speakers[i].fd = -1;
	aid_dir(&st->a);
	snprintf(st->storage, sizeof(st->storage), "%s/storage", st->a.dir);
	assert_int_equal(loop_new(&st->loop), 0);
	assert_int_equal(workers_new("dns", 1, &st->workers), 0);
	sink_open(st);
	st->has_app = true;
	st->app = (struct app_config){
		.id = APP,
		.name = "test",
		.recording = {.sample_rate = 48000,
			      .hold_empty_us = PATIENCE_US,
			      .segment_us = 3600LL * CLOCK_US_PER_S,
			      .mic_off_splits = true,
			      /* a machine that stands still splits nothing */
			      .mic_off_after_us = PATIENCE_US,
			      .zone_minutes = 480},
	};
	st->config = (struct rooms_config){
		.data_dir = st->a.dir,
		.storage_dir = st->storage,
		.media = {.loops = 2},
		.file_threads = 2,
	};
	assert_int_equal(addr_parse("127.0.0.1:0", &st->config.media.bind), 0);
	st->config.media.rtp_port_first = first_port();
	st->config.media.rtp_port_last =
		(uint16_t)(st->config.media.rtp_port_first + PORTS - 1);
	*state = st;
	return 0;
}

static inline void hush(struct speaker *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static inline int stage_teardown(void **state)
{
	struct stage *st = *state;

	clock_shift_unix(0);
	if (st->r)
		end(st);
	set_fault(NULL);
	for (size_t i = 0; i < SPEAKERS; i++)
		hush(&st->speakers[i]);
	workers_free(st->workers);
	http_server_close(st->sink);
	loop_turn(st->loop, 0);
	loop_free(st->loop);
	nftw(st->a.dir, aid_rm, 16, FTW_DEPTH | FTW_PHYS);
	free(st->told);
	free(st);
	return 0;
}

#define STAGE_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, stage_setup, stage_teardown)

/** A test that was begun; what it says comes when its turn is. */
struct running {
	pid_t pid;
	FILE *says;
};

static inline void run_begin(struct running *r, const struct CMUnitTest *test)
{
	r->says = tmpfile();
	assert_non_null(r->says);
	fflush(NULL);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid)
		return;
	dup2(fileno(r->says), STDOUT_FILENO);
	dup2(fileno(r->says), STDERR_FILENO);
	claim_ports();
	exit(_cmocka_run_group_tests(test->name, test, 1, NULL, NULL));
}

static inline int run_end(struct running *r)
{
	int status = 0;
	int c;

	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	rewind(r->says);
	for (c = getc(r->says); c != EOF; c = getc(r->says))
		putchar(c);
	fclose(r->says);
	if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	return status;
}

/** Run each test in a process; returns how many failed. */
static inline int run_stages(const struct CMUnitTest *tests, size_t n)
{
	const char *only = getenv("TAPEOP_TEST_ONLY");
	struct running running[AT_ONCE];
	int failed = 0;

	port_slot = (unsigned)getpid();
	for (size_t i = 0; i < n + AT_ONCE; i++) {
		struct running *r = &running[i % AT_ONCE];

		if (i >= AT_ONCE && i - AT_ONCE < n && r->pid)
			failed += run_end(r) != 0;
		if (i < n) {
			port_slot++;
			r->pid = 0;
			if (!only || strstr(tests[i].name, only))
				run_begin(r, &tests[i]);
		}
	}
	return failed;
}

#define RUN_STAGES(tests) run_stages(tests, sizeof(tests) / sizeof(*(tests)))

/* ---- calls ---- */

/* Whoever calls has an address for each kind of call. */
#define JOIN_IP	 "192.0.2.1"
#define START_IP "192.0.2.2"
#define STOP_IP	 "192.0.2.3"
#define LISTS_IP "192.0.2.4"
#define MIC_IP	 "2001:db8::5"
static const struct caller stop_caller = {STOP_IP, "RESTAPI"};
static const struct caller mic_caller
	__attribute__((unused)) = {MIC_IP, "RESTAPI"};

static inline void on_input(const struct err *err,
			    const struct input_info *info, void *arg)
{
	struct answer *a = arg;

	a->calls++;
	a->err = err->code;
	str_copy(a->text, sizeof(a->text), err->code ? err->text : "");
	assert_true(!info == !!err->code);
	if (info) {
		a->id = info->id;
		a->port = info->port;
	}
}

static inline void on_task(const struct err *err, const struct task_info *info,
			   void *arg)
{
	struct answer *a = arg;

	a->calls++;
	a->err = err->code;
	str_copy(a->text, sizeof(a->text), err->code ? err->text : "");
	assert_true(!info == !!err->code);
	if (info) {
		a->id = info->id;
		a->state = info->state;
	}
}

static inline void add(struct stage *st, const char *room, const char *user,
		       struct answer *a)
{
	const struct input_wish w = {
		.app = APP, .room = room, .user = user, .client_ip = JOIN_IP};

	*a = (struct answer){0};
	rooms_input_add(st->r, &w, on_input, a);
}

/** Somebody begins to speak to a port. */
static inline struct speaker *talk(struct stage *st, uint16_t port)
{
	struct speaker *s = st->speakers;

	while (s->fd >= 0)
		s++;
	assert_true(s < st->speakers + SPEAKERS);
	*s = (struct speaker){.to = st->config.media.bind,
			      .next_us = clock_now_us()};
	addr_set_port(&s->to, port);
	s->fd = socket(s->to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	return s;
}

/** Join and speak. */
static inline struct answer join(struct stage *st, const char *room,
				 const char *user)
{
	struct answer a;

	add(st, room, user, &a);
	UNTIL(st, a.calls);
	if (a.err)
		fail_msg("join: %s", a.text);
	talk(st, a.port);
	return a;
}

static inline void leave(struct stage *st, uint64_t input, struct answer *a)
{
	*a = (struct answer){0};
	rooms_input_remove(st->r, input, on_input, a);
}

/** Leave, and wait until it is done. */
static inline void leave_now(struct stage *st, uint64_t input)
{
	struct answer a;

	leave(st, input, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, 0);
}

static inline struct task_wish wish_of(const char *room)
{
	return (struct task_wish){.app = APP,
				  .room = room,
				  .format = -1,
				  .max_idle_ms = -1,
				  .hold_empty_ms = -1,
				  .client_ip = START_IP,
				  .platform = "RESTAPI"};
}

static inline void start_as(struct stage *st, const struct task_wish *w,
			    struct answer *a)
{
	*a = (struct answer){0};
	rooms_task_start(st->r, w, on_task, a);
}

static inline void start(struct stage *st, const char *room, struct answer *a)
{
	const struct task_wish w = wish_of(room);

	start_as(st, &w, a);
}

/** Change the lists. */
static inline void subscribe(struct stage *st, uint64_t task,
			     const struct subscription *s, struct answer *a)
{
	const struct task_change c = {.has_lists = true,
				      .subscribe = *s,
				      .who = {LISTS_IP, "RESTAPI"}};

	rooms_task_change(st->r, task, &c, on_task, a);
}

static inline uint64_t record_as(struct stage *st, const struct task_wish *w)
{
	struct answer a;

	start_as(st, w, &a);
	UNTIL(st, a.calls);
	if (a.err)
		fail_msg("start: %s", a.text);
	return a.id;
}

static inline uint64_t record(struct stage *st, const char *room)
{
	const struct task_wish w = wish_of(room);

	return record_as(st, &w);
}

static inline void stop(struct stage *st, uint64_t task, struct answer *a)
{
	*a = (struct answer){0};
	rooms_task_stop(st->r, task, &stop_caller, on_task, a);
}

static inline bool is_there(const struct stage *st, uint64_t task)
{
	struct task_info info;

	return rooms_task_info(st->r, task, &info);
}

/** Stop, and wait until all of it is stored, uploaded and told. */
static inline void finish(struct stage *st, uint64_t task)
{
	struct answer a;

	stop(st, task, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, 0);
	UNTIL(st, !is_there(st, task));
}

static inline void lists(struct stage *st, uint64_t task, bool allow,
			 const char *user)
{
	const struct subscription s = {
		.allow = allow, .users = {user}, .n = user ? 1 : 0};
	struct answer a = {0};

	subscribe(st, task, &s, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, 0);
}

struct erased {
	unsigned calls;
	struct erase_result r;
};

static inline void on_erased(const struct erase_result *result, void *arg)
{
	struct erased *e = arg;

	e->calls++;
	e->r = *result;
}

static inline struct erase_result erase_as(struct stage *st,
					   const struct erase_wish *w)
{
	struct erased e = {0};

	rooms_erase(st->r, w, on_erased, &e);
	UNTIL(st, e.calls);
	assert_int_equal(e.calls, 1);
	return e.r;
}

/* ---- looking ---- */

static inline int note_newest(const struct room_info *room, void *arg)
{
	uint64_t *newest = arg;

	for (size_t i = 0; i < room->n_tasks; i++) {
		if (room->tasks[i] > *newest)
			*newest = room->tasks[i];
	}
	return 0;
}

/** The newest of the tasks that run or are being started, 0: none. */
static inline uint64_t newest_task(struct stage *st)
{
	uint64_t newest = 0;

	assert_int_equal(rooms_each(st->r, note_newest, &newest), 0);
	return newest;
}

/** All segments of a task, by id; free the rows. */
static inline struct store_rows segments_of(struct stage *st, uint64_t task)
{
	return aid_read(&st->a, (struct store_filter){.what = READ_SEGMENTS,
						      .task = task,
						      .state = -1,
						      .limit = SEGMENTS_MAX});
}

/** How many segments of a user (NULL: all) are in a state (-1: any). */
static inline size_t segments_in(struct stage *st, uint64_t task,
				 const char *user, int state)
{
	return aid_count(&st->a, (struct store_filter){.what = READ_SEGMENTS,
						       .task = task,
						       .user = user,
						       .state = state,
						       .limit = SEGMENTS_MAX});
}

/** Segments of a mode in a state (-1: any). */
static inline size_t of_mode(struct stage *st, uint64_t task,
			     enum record_mode mode, int state)
{
	struct store_rows rows = segments_of(st, task);
	size_t n = 0;

	for (size_t i = 0; i < rows.n; i++)
		n += rows.segments[i].mode == mode &&
		     (state == -1 || (int)rows.segments[i].state == state);
	store_rows_free(&rows);
	return n;
}

static inline struct task_row task_of_store(struct stage *st, uint64_t task)
{
	struct store_rows rows = aid_read(
		&st->a, (struct store_filter){
				.what = READ_TASKS, .id = task, .state = -1});
	struct task_row row;

	assert_int_equal(rows.n, 1);
	row = rows.tasks[0];
	row.subscribe = NULL;
	store_rows_free(&rows);
	return row;
}

static int files_seen;

static inline int count_file(const char *path, const struct stat *s, int type,
			     struct FTW *at)
{
	(void)path;
	(void)s;
	(void)at;
	files_seen += type == FTW_F;
	return 0;
}

static inline int files_below(const struct stage *st, const char *dir)
{
	files_seen = 0;
	nftw(tempdir_path(st->a.dir, dir), count_file, 16, FTW_PHYS);
	return files_seen;
}

/** What must be true of a finished task. */
struct truth {
	size_t closed, lost;
	size_t failing;		      /* segments of which it was told */
	bool left;		      /* files were told to be left */
	unsigned kinds[EVENT_KIND_N]; /* events of each */
};

static inline void check_file(struct stage *st, const struct segment_row *s)
{
	char path[1024], hex[65];
	int64_t len;

	assert_true(s->uploaded_ms > 0);
	rooms_segment_path(st->r, s, path, sizeof(path));
	assert_int_equal(file_sha256(path, hex, &len), 0);
	assert_string_equal(hex, s->sha256);
	assert_int_equal(len, s->size);
	assert_true(len >= RECORD_FRAMES_MIN * FRAME_LEN);
	assert_int_equal(len % FRAME_LEN, 0);
	assert_int_equal(s->frames, len / FRAME_LEN * FRAME_FRAMES);
}

/** Where storage has a file, and who caused what: the facts of one event. */
static inline void check_facts(struct stage *st, const struct event *e)
{
	char want[EVENT_LOCATION_MAX];

	assert_true(e->client_ip[0] && e->platform[0]);
	snprintf(want, sizeof(want), "file://%s/", st->storage);
	/* the names of the tests have nothing else to be escaped */
	for (const char *c = e->file_name; *c; c++)
		snprintf(want + strlen(want), sizeof(want) - strlen(want),
			 *c == '%' ? "%%25" : "%c", *c);
	assert_string_equal(e->location, e->kind == EVENT_UPLOADED ? want : "");
	if (e->kind == EVENT_STARTED)
		assert_true(e->start_ms > 0 && !e->duration_ms && !e->size);
	if (e->kind == EVENT_UPLOAD_FAILING)
		assert_true(e->reason[0] && e->reason_text[0]);
}

/** Files that a task's files_ready list: each once, and of whom. */
static inline void check_listed(const struct event *e, size_t n,
				const struct store_rows *segs)
{
	for (size_t k = 0; k < segs->n; k++) {
		const struct segment_row *row = &segs->segments[k];
		unsigned found = 0;

		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < e[i].n_files; j++) {
				const struct event_file *f = &e[i].files[j];

				if (strcmp(f->name, row->file_name) != 0)
					continue;
				found++;
				assert_string_equal(f->user,
						    row->mode == MODE_MIXED
							    ? ""
							    : row->user);
				assert_int_equal(f->start_ms, row->start_ms);
			}
		assert_int_equal(found, row->state == SEG_CLOSED);
	}
}

/**
 * The events of a task, n by task_seq: begun first, stopped when all is closed,
 * then what is left if something is, then the end of the uploads, last the
 * files.
 */
static inline void check_course(const struct event *e, size_t n, size_t closed)
{
	const struct event *stopped = NULL, *ended = NULL;
	size_t uploaded = 0;
	bool begun = false, left = false;

	assert_int_equal(e[0].kind, EVENT_TASK_STARTED);
	for (size_t i = 1; i < n; i++) {
		switch (e[i].kind) {
		case EVENT_STARTED:
		case EVENT_COMPLETED:
			assert_null(stopped);
			break;
		case EVENT_UPLOAD_STARTED:
			assert_int_equal(e[i - 1].kind, EVENT_COMPLETED);
			begun = true;
			break;
		case EVENT_UPLOADED:
			uploaded++;
			assert_true(begun && (!ended || ended->status == 1));
			break;
		case EVENT_TASK_STOPPED:
			stopped = &e[i];
			break;
		case EVENT_UPLOAD_STOPPED:
			assert_non_null(stopped);
			if (e[i].status != 1)
				assert_int_equal(e[i].status, left ? 2 : 0);
			else
				assert_true(!left && !ended);
			assert_true(e[i].status == 1 || uploaded == closed);
			left |= e[i].status == 1;
			ended = &e[i];
			break;
		case EVENT_FILES_READY:
			assert_true(stopped && (ended || !closed));
			assert_true(!ended ||
				    (ended->status == 1) == (e[i].status == 1));
			break;
		default:
			break;
		}
	}
}

/** started n, completed n, started n + 1 ...: each once, by task_seq. */
static inline void check_events(struct stage *st, uint64_t task,
				const struct store_rows *segs,
				struct truth *truth)
{
	struct store_rows rows =
		aid_read(&st->a, (struct store_filter){.what = READ_EVENTS,
						       .task = task,
						       .state = -1,
						       .limit = SEGMENTS_MAX});
	struct event *e = calloc(rows.n + 1, sizeof(*e));
	unsigned *seen = calloc(segs->n + 1, sizeof(*seen));
	bool *failing = calloc(segs->n + 1, sizeof(*failing));
	unsigned kinds[EVENT_KIND_N] = {0};
	unsigned ends;

	assert_false(rows.more);
	for (size_t i = 0; i < rows.n; i++) {
		struct event one;

		assert_int_equal(event_parse_json(rows.events[i].facts,
						  rows.events[i].facts_len,
						  &one),
				 0);
		assert_int_equal(one.task_seq, rows.events[i].task_seq);
		assert_true(one.task_seq < rows.n);	   /* no hole, */
		assert_int_equal(e[one.task_seq].task, 0); /* none twice */
		e[one.task_seq] = one;
	}
	for (size_t i = 0; i < rows.n; i++) {
		size_t k = 0;

		kinds[e[i].kind]++;
		check_facts(st, &e[i]);
		if (!event_is_of_segment(e[i].kind))
			continue;
		assert_true(e[i].duration_ms >= 0);
		while (k < segs->n &&
		       (strcmp(segs->segments[k].user, e[i].user) != 0 ||
			segs->segments[k].mode != e[i].mode ||
			segs->segments[k].seq != e[i].seq))
			k++;
		assert_true(k < segs->n);
		assert_string_equal(segs->segments[k].file_name,
				    e[i].file_name);
		if (e[i].kind == EVENT_UPLOAD_FAILING) {
			assert_int_equal(seen[k], 2);
			assert_false(failing[k]); /* once */
			print_message("%s: %s: %s\n", e[i].file_name,
				      e[i].reason, e[i].reason_text);
			failing[k] = true;
			continue;
		}
		assert_int_equal(seen[k], e[i].kind); /* 0, 1, 2: in turn */
		seen[k]++;
		for (size_t j = 0; e[i].kind == EVENT_STARTED && j < segs->n;
		     j++) /* those before it are completed */
			if (!strcmp(segs->segments[j].user, e[i].user) &&
			    segs->segments[j].mode == e[i].mode)
				assert_true(segs->segments[j].seq < e[i].seq
						    ? seen[j] >= 2
						    : seen[j] == (j == k));
	}
	for (size_t k = 0; k < segs->n; k++)
		assert_int_equal(seen[k],
				 segs->segments[k].state == SEG_CLOSED ? 3 : 2);
	assert_int_equal(kinds[EVENT_STARTED], segs->n);
	assert_int_equal(kinds[EVENT_COMPLETED], segs->n);
	assert_int_equal(kinds[EVENT_UPLOADED], truth->closed);
	assert_int_equal(kinds[EVENT_TASK_STARTED], 1);
	assert_int_equal(kinds[EVENT_TASK_STOPPED], 1);
	assert_int_equal(kinds[EVENT_UPLOAD_STARTED], truth->closed ? 1 : 0);
	check_course(e, rows.n, truth->closed);
	check_listed(e, rows.n, segs);
	for (size_t k = 0; k < segs->n; k++)
		assert_int_equal(failing[k], segs->segments[k].is_failing);
	ends = truth->closed ? 1 : 0;
	for (size_t i = 0; i < rows.n; i++)
		ends += e[i].kind == EVENT_UPLOAD_STOPPED && e[i].status == 1;
	assert_int_equal(kinds[EVENT_UPLOAD_STOPPED], ends);
	truth->failing = kinds[EVENT_UPLOAD_FAILING];
	truth->left = ends > 1;
	memcpy(truth->kinds, kinds, sizeof(kinds));
	assert_int_equal(kinds[EVENT_TASK_FAILED],
			 task_of_store(st, task).state == TASK_FAILED);
	for (size_t i = 0; i < rows.n; i++)
		event_fini(&e[i]);
	free(e);
	free(seen);
	free(failing);
	store_rows_free(&rows);
}

/** The endpoint has been told of each, and in the track's order. */
static inline void check_told(struct stage *st, uint64_t task,
			      const struct store_rows *segs,
			      const struct truth *truth)
{
	size_t n = 0;

	for (size_t i = 0; i < st->n_told; i++) {
		if (st->told[i].task != task)
			continue;
		n++;
		for (size_t j = 0; j < i; j++) {
			/* uploads, and tracks, do not wait for each other */
			if (st->told[j].task == task &&
			    st->told[j].type != GME_UPLOADED &&
			    st->told[i].type != GME_UPLOADED &&
			    !strcmp(st->told[j].user, st->told[i].user))
				assert_true(st->told[j].sequence <
					    st->told[i].sequence);
		}
	}
	assert_int_equal(n, 2 * segs->n + truth->closed);
}

/** The manifest lies in the folder of each track. */
static inline void check_manifest(struct stage *st, uint64_t task,
				  const struct store_rows *segs)
{
	struct task_row row = task_of_store(st, task);
	char base[RECORD_NAME_CAP], path[2048];

	record_manifest_name(task, row.created_ms,
			     st->app.recording.zone_minutes, base,
			     sizeof(base));
	for (size_t i = 0; i < segs->n; i++) {
		const char *file = segs->segments[i].file_name;
		json_t *m;

		snprintf(path, sizeof(path), "%s/%.*s/%s", st->storage,
			 (int)strcspn(file, "/"), file, base);
		m = json_load_file(path, 0, NULL);
		assert_non_null(m);
		assert_int_equal(
			json_array_size(json_object_get(m, "segments")),
			segs->n);
		json_decref(m);
	}
}

static inline void check_names(const struct store_rows *segs)
{
	for (size_t i = 0; i < segs->n; i++)
		for (size_t j = 0; j < i; j++) {
			const struct segment_row *a = &segs->segments[i];
			const struct segment_row *b = &segs->segments[j];

			assert_string_not_equal(a->file_name, b->file_name);
			assert_true(strcmp(a->user, b->user) != 0 ||
				    a->mode != b->mode || a->seq > b->seq);
		}
}

/** Everything that must hold of a finished task once all is delivered. */
static inline struct truth check_truth(struct stage *st, uint64_t task)
{
	struct store_rows segs = segments_of(st, task);
	struct truth truth = {0};
	struct store_totals totals;

	assert_false(segs.more);
	assert_true(task_of_store(st, task).finished_ms > 0);
	for (size_t i = 0; i < segs.n; i++) {
		if (segs.segments[i].state == SEG_CLOSED) {
			truth.closed++;
			check_file(st, &segs.segments[i]);
		} else {
			assert_int_equal(segs.segments[i].state, SEG_LOST);
			assert_true(segs.segments[i].reason[0]);
			truth.lost++;
		}
	}
	check_names(&segs);
	check_events(st, task, &segs, &truth);
	UNTIL(st, counter_get(COUNT_deliveries_pending) == 0);
	store_totals(st->a.s, &totals);
	assert_int_equal(totals.in, totals.delivered);
	if (!st->deaf)
		check_told(st, task, &segs, &truth);
	check_manifest(st, task, &segs);
	store_rows_free(&segs);
	return truth;
}

/** alice and bob are recorded, and all is told. */
static inline uint64_t record_two(struct stage *st, const char *room)
{
	uint64_t task = record(st, room);

	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1 &&
			  segments_in(st, task, "bob", SEG_RECORDING) == 1);
	finish(st, task);
	check_truth(st, task);
	return task;
}

static inline void check_totals(struct stage *st)
{
	struct store_totals t;

	store_totals(st->a.s, &t);
	assert_int_equal(t.in, t.delivered + t.pending + t.dead + t.expired);
}

/** Nothing is left in the spool, and nothing is open. */
static inline void check_empty(struct stage *st)
{
	UNTIL(st, files_below(st, "spool") == 0);
	assert_int_equal(files_below(st, "quarantine"), 0);
	assert_int_equal(counter_get(COUNT_segments_open), 0);
	assert_int_equal(counter_get(COUNT_tasks_running), 0);
}

#endif
