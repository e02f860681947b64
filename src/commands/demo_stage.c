/**
 * commands/demo_stage.c -- the stage of `tapeop demo`.
 *
 *   join alice, bob -> start the task -> speak, by turns -> stop the task
 *   -> leave -> wait until everything arrived -> over
 *
 * Every step is a call of the server's HTTP API, one at a time; an answer
 * leads to the next step, a wrong one to the end.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assets.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "commands/demo.h"
#include "commands/rtp_sender.h"
#include "receive/receive.h"
#include "sound/sound.h"
#include "store/store.h"

enum {
	TICK_US = 100 * CLOCK_US_PER_MS,
	LINGER_US = 500 * CLOCK_US_PER_MS, /* from the last word to the stop */
	/* Turns come again after so long: both were silent for longer than
	 * mic_off_after by then, so each turn is a file. */
	CYCLE_US = 13 * CLOCK_US_PER_S,
	BOB_US = 5200 * CLOCK_US_PER_MS,   /* into alice's last words */
	PATIENCE_US = 60 * CLOCK_US_PER_S, /* for what must arrive */
	CALL_US = 20 * CLOCK_US_PER_S,
	INBOX_BALLAST = 1 << 20,
	INBOX_QUEUE = 10000,
	MAX_BODY = 1 << 20,
	PATH_MAX_LEN = 256
};

struct voice {
	struct stage *stage;
	struct demo_voice *view;
	const struct asset *asset;
	int64_t turn_us; /* when the next turn begins, from the first word */
	char input[DEMO_ID_MAX];
	struct addr to;
	struct timer turn;
	struct rtp_sender *sender;
	struct sound_decoder *decoder;
	double level; /* loudest since the last tick */
	bool spoke;
};

struct stage {
	const struct stage_config *config;
	struct show *show;
	struct loop *loop;
	struct thread *thread;
	struct workers *workers;
	struct store *inbox;
	struct receive *receive;
	struct http_client *client;
	struct mail hush;
	_Atomic bool hushed;
	/* the stage's thread */
	struct http_transfer *transfer;
	void (*then)(struct stage *s, const json_t *answer);
	int wanted_status;
	char called[PATH_MAX_LEN];
	struct voice voices[DEMO_VOICES];
	struct demo_voice views[DEMO_VOICES];
	int64_t first_word_us; /* 0: nobody has spoken yet */
	struct timer timer;    /* of the step: tick, linger, look again */
	int64_t deadline_us;   /* for everything to arrive */
	char task[DEMO_ID_MAX];
	bool over;
	struct ledger ledger; /* until it is over */
	json_t *segments;     /* as the server lists them */
	int16_t pcm[SOUND_PACKET_MAX];
};

static void finish(struct stage *s, json_t *missing);
static void look_again(struct stage *s);

static int64_t now(const struct stage *s)
{
	return loop_now_us(s->loop);
}

/** Nothing more can come of it: say why, and end. */
static void give_up(struct stage *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void give_up(struct stage *s, const char *fmt, ...)
{
	json_t *missing = json_array();
	char why[512];
	va_list ap;

	if (atomic_load(&s->hushed))
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	json_array_append_new(missing, json_string(why));
	finish(s, missing);
}

static void start_timer(struct stage *s, int64_t due_us,
			void (*fn)(struct timer *t, int64_t now_us))
{
	if (timer_start(&s->timer, s->loop, due_us, fn))
		give_up(s, "out of memory");
}

/* ---- asking the server -------------------------------------------------------- */

static void on_answer(const struct http_result *r, void *arg)
{
	struct stage *s = arg;
	json_t *answer;

	s->transfer = NULL;
	if (atomic_load(&s->hushed))
		return;
	answer = json_loadb((const char *)r->body, r->body_len, 0, NULL);
	if (r->status != s->wanted_status || !answer) {
		const char *detail =
			json_string_value(json_object_get(answer, "detail"));

		give_up(s, "%s: %d %s", s->called, r->status,
			detail ? detail : r->error);
	} else {
		s->then(s, answer);
	}
	json_decref(answer);
}

static void call(struct stage *s, const char *method, const char *path,
		 const char *body, int wanted_status,
		 void (*then)(struct stage *s, const json_t *answer))
{
	static const char *const fields[] = {"Content-Type: application/json"};
	char url[DEMO_URL_MAX + PATH_MAX_LEN];
	struct http_call c = {
		.method = method,
		.url = url,
		.fields = fields,
		.n_fields = ARRAY_LEN(fields),
		.body = body,
		.body_len = strlen(body),
		.timeout_us = CALL_US,
		.allow_private = true,
	};
	struct err e = {0};

	snprintf(url, sizeof(url), "%s%s", s->config->places->server, path);
	snprintf(s->called, sizeof(s->called), "%s %s", method, path);
	s->then = then;
	s->wanted_status = wanted_status;
	if (http_client_send(s->client, &c, on_answer, s, &e, &s->transfer))
		give_up(s, "%s: %s", s->called, e.text);
}

static bool copy_text(const json_t *o, const char *key, char *to, size_t cap)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text && str_copy(to, cap, text);
}

/* ---- the end ---------------------------------------------------------------------- */

/** What the server lists -> what the summary lists. */
static json_t *summary_segments(struct stage *s)
{
	json_t *list = json_array();
	const json_t *item;
	size_t i;

	json_array_foreach(s->segments, i, item)
	{
		json_array_append_new(
			list,
			json_pack(
				"{s:O, s:O, s:O, s:o, s:O}", "user",
				json_object_get(item, "user"), "mode",
				json_object_get(item, "mode"), "seq",
				json_object_get(item, "seq"), "file",
				json_sprintf("%s/recordings/%s",
					     s->config->places->dir,
					     json_string_value(json_object_get(
						     item, "file"))),
				"duration_ms",
				json_object_get(item, "duration_ms")));
	}
	return list;
}

/** Show how it went.  Takes `missing` over; what is NULL for want of memory
 *  counts as missing. */
static void finish(struct stage *s, json_t *missing)
{
	json_t *segments = summary_segments(s);
	struct demo_result r = {
		.task = s->task,
		.segments = segments,
		.verified = ledger_count(&s->ledger, s->task),
		.refused = s->ledger.refused,
		.duplicates = s->ledger.duplicates,
		.missing = missing,
	};
	bool good = segments && missing && !json_array_size(missing);

	assert(!s->over);
	s->over = true;
	timer_stop(&s->timer);
	show_voices_end(s->show);
	show_end(s->show, &r);
	if (s->config->json && show_json(&r))
		good = false;
	json_decref(segments);
	json_decref(missing);
	s->config->over(good, s->config->arg);
}

/* ---- has everything arrived? ------------------------------------------------ */

/** What is missing by what the server lists: a list of sentences. */
static json_t *list_missing(const struct stage *s)
{
	json_t *missing = ledger_missing(&s->ledger, s->task, s->segments);

	for (int i = 0; i < DEMO_VOICES; i++) {
		const struct voice *v = &s->voices[i];

		if (v->spoke && !segments_have(s->segments, v->view->user))
			json_array_append_new(
				missing,
				json_sprintf("a file of %s", v->view->user));
	}
	return missing;
}

static void on_segments(struct stage *s, const json_t *answer)
{
	bool late = now(s) >= s->deadline_us;
	json_t *missing;

	json_decref(s->segments);
	s->segments = json_incref(json_object_get(answer, "segments"));
	missing = list_missing(s);
	if (json_array_size(missing) && !late) {
		const char *first =
			json_string_value(json_array_get(missing, 0));

		show_waiting(s->show, now(s), first ? first : "");
		json_decref(missing);
		look_again(s);
		return;
	}
	if (s->ledger.refused)
		json_array_append_new(
			missing, json_string("callbacks that were refused"));
	finish(s, missing);
}

static void on_task(struct stage *s, const json_t *answer)
{
	char path[PATH_MAX_LEN];

	if (!json_is_integer(json_object_get(answer, "finished_ms")) &&
	    now(s) < s->deadline_us) {
		look_again(s);
		return;
	}
	snprintf(path, sizeof(path), "/v1/tasks/%s/segments?limit=1000",
		 s->task);
	call(s, "GET", path, "", 200, on_segments);
}

static void on_look(struct timer *t, int64_t now_us)
{
	struct stage *s = CONTAINER_OF(t, struct stage, timer);
	char path[PATH_MAX_LEN];

	(void)now_us;
	snprintf(path, sizeof(path), "/v1/tasks/%s", s->task);
	call(s, "GET", path, "", 200, on_task);
}

static void look_again(struct stage *s)
{
	start_timer(s, now(s) + TICK_US, on_look);
}

/* ---- stopping, leaving ------------------------------------------------------------- */

static void leave(struct stage *s, int i,
		  void (*then)(struct stage *s, const json_t *answer))
{
	char path[PATH_MAX_LEN];

	snprintf(path, sizeof(path), "/v1/inputs/%s", s->voices[i].input);
	call(s, "DELETE", path, "", 200, then);
}

static void on_bob_left(struct stage *s, const json_t *answer)
{
	(void)answer;
	s->deadline_us = now(s) + PATIENCE_US;
	look_again(s);
}

static void on_alice_left(struct stage *s, const json_t *answer)
{
	(void)answer;
	leave(s, 1, on_bob_left);
}

static void on_stopped(struct stage *s, const json_t *answer)
{
	(void)answer;
	leave(s, 0, on_alice_left);
}

static void on_lingered(struct timer *t, int64_t now_us)
{
	struct stage *s = CONTAINER_OF(t, struct stage, timer);
	char path[PATH_MAX_LEN];

	show_line(s->show, now_us, "demo", INK_DIM, "stops the task");
	snprintf(path, sizeof(path), "/v1/tasks/%s", s->task);
	call(s, "DELETE", path, "", 200, on_stopped);
}

/* ---- speaking ----------------------------------------------------------------------- */

static void on_packet(const uint8_t *opus, size_t len, void *arg)
{
	struct voice *v = arg;
	int16_t *pcm = v->stage->pcm;
	uint32_t frames = 0;
	double sum = 0, level_dbfs;

	if (sound_decode(v->decoder, opus, len, pcm, &frames) || !frames)
		return;
	for (uint32_t i = 0; i < frames; i++)
		sum += (double)pcm[i] * pcm[i];
	level_dbfs = 10 * log10(sum / frames / (32768.0 * 32768.0) + 1e-10);
	/* -54 dBFS is the lowest step, -6 the highest. */
	v->level = fmax(v->level, (level_dbfs + 54) / 48);
}

static void end_turn(struct voice *v)
{
	rtp_sender_free(v->sender);
	v->sender = NULL;
}

static void arm_turn(struct voice *v);

static void on_spoken(int err, void *arg)
{
	struct voice *v = arg;
	struct stage *s = v->stage;

	end_turn(v);
	if (err)
		show_line(s->show, now(s), v->view->user, INK_RED,
			  "cannot be sent: %s", strerror(err));
	else
		show_line(s->show, now(s), v->view->user, v->view->ink,
			  "is quiet");
	v->turn_us += CYCLE_US;
	arm_turn(v);
}

static void on_turn(struct timer *t, int64_t now_us)
{
	static const struct rtp_sender_events events = {.packet = on_packet,
							.ended = on_spoken};
	struct voice *v = CONTAINER_OF(t, struct voice, turn);
	struct stage *s = v->stage;
	struct rtp_sender_config c = {.data = v->asset->data,
				      .len = v->asset->len};
	char to[ADDR_TEXT_MAX];
	int err = rtp_sender_new(s->loop, &c, &events, v, &v->sender);

	if (!err)
		err = rtp_sender_start(v->sender, &v->to, now_us);
	if (err) {
		give_up(s, "%s cannot speak: %s", v->view->user, strerror(err));
		return;
	}
	v->spoke = true;
	show_line(s->show, now_us, v->view->user, v->view->ink,
		  "speaks: RTP/Opus to %s", addr_write(&v->to, to));
}

/** Time the next turn, if it begins before the end. */
static void arm_turn(struct voice *v)
{
	struct stage *s = v->stage;

	if (v->turn_us < s->config->speak_us &&
	    timer_start(&v->turn, s->loop, s->first_word_us + v->turn_us,
			on_turn))
		give_up(s, "out of memory");
}

/** Nobody speaks any more. */
static void fall_silent(struct stage *s)
{
	for (int i = 0; i < DEMO_VOICES; i++) {
		timer_stop(&s->voices[i].turn);
		end_turn(&s->voices[i]);
	}
	show_voices_end(s->show);
}

static void take_levels(struct voice *v)
{
	double *levels = v->view->levels;

	memmove(levels, levels + 1, (DEMO_LEVELS - 1) * sizeof(*levels));
	levels[DEMO_LEVELS - 1] = v->level;
	v->level = 0;
}

static void on_tick(struct timer *t, int64_t now_us)
{
	struct stage *s = CONTAINER_OF(t, struct stage, timer);
	int64_t spoken_us = now_us - s->first_word_us;

	for (int i = 0; i < DEMO_VOICES; i++)
		take_levels(&s->voices[i]);
	if (spoken_us >= s->config->speak_us) {
		fall_silent(s);
		start_timer(s, now_us + LINGER_US, on_lingered);
		return;
	}
	show_voices(s->show, now_us, s->views, spoken_us, s->config->speak_us);
	start_timer(s, now_us + TICK_US, on_tick);
}

static void on_task_started(struct stage *s, const json_t *answer)
{
	if (!copy_text(answer, "task_id", s->task, sizeof(s->task))) {
		give_up(s, "%s: no task_id in the answer", s->called);
		return;
	}
	s->first_word_us = now(s);
	for (int i = 0; i < DEMO_VOICES && !s->over; i++)
		arm_turn(&s->voices[i]);
	if (!s->over)
		start_timer(s, now(s), on_tick);
}

/* ---- joining ------------------------------------------------------------------------ */

static void join(struct stage *s, int i,
		 void (*then)(struct stage *s, const json_t *answer))
{
	char path[PATH_MAX_LEN], body[PATH_MAX_LEN];

	snprintf(path, sizeof(path), "/v1/apps/%d/rooms/" DEMO_ROOM "/inputs",
		 DEMO_APP);
	snprintf(body, sizeof(body), "{\"user\":\"%s\",\"kind\":\"rtp\"}",
		 s->voices[i].view->user);
	call(s, "POST", path, body, 201, then);
}

static bool take_input(struct stage *s, int i, const json_t *answer)
{
	struct voice *v = &s->voices[i];
	const char *address =
		json_string_value(json_object_get(answer, "address"));
	json_int_t port = json_integer_value(json_object_get(answer, "port"));

	if (!address || addr_parse(address, &v->to) || port < 1 ||
	    port > UINT16_MAX ||
	    !copy_text(answer, "input_id", v->input, sizeof(v->input))) {
		give_up(s, "%s: no address in the answer", s->called);
		return false;
	}
	addr_set_port(&v->to, (uint16_t)port);
	return true;
}

static void on_bob_joined(struct stage *s, const json_t *answer)
{
	char path[PATH_MAX_LEN];

	if (!take_input(s, 1, answer))
		return;
	snprintf(path, sizeof(path), "/v1/apps/%d/rooms/" DEMO_ROOM "/tasks",
		 DEMO_APP);
	call(s, "POST", path, "{\"mode\":\"single\"}", 201, on_task_started);
}

static void on_alice_joined(struct stage *s, const json_t *answer)
{
	if (take_input(s, 0, answer))
		join(s, 1, on_bob_joined);
}

static void on_begin(struct timer *t, int64_t now_us)
{
	struct stage *s = CONTAINER_OF(t, struct stage, timer);

	(void)now_us;
	join(s, 0, on_alice_joined);
}

/* ---- the receiver ---------------------------------------------------------------------- */

static void on_event(const struct callback *c, const char *line, void *arg)
{
	struct stage *s = arg;

	(void)line;
	if (!s->over && ledger_add(&s->ledger, c))
		show_line(s->show, now(s), "error", INK_RED,
			  "out of memory: a callback is not counted");
	show_callback(s->show, now(s), c);
}

static void on_duplicate(const struct callback *c, void *arg)
{
	struct stage *s = arg;

	s->ledger.duplicates++;
	show_line(s->show, now(s), "backend", INK_PLAIN,
		  "had it already: %s %d", dialect_name(c->dialect), c->type);
}

static void on_refused(int status, const char *why, void *arg)
{
	struct stage *s = arg;

	s->ledger.refused++;
	show_line(s->show, now(s), "backend", INK_RED, "refused: %d %s", status,
		  why);
}

static int open_receiver(struct stage *s, struct err *e)
{
	static const struct receive_events events = {
		.event = on_event,
		.duplicate = on_duplicate,
		.refused = on_refused,
	};
	const struct receive_app app = {
		.id = DEMO_APP,
		.keys = {{s->config->gme_key, RECEIVE_ALL_DIALECTS},
			 {s->config->live_token, RECEIVE_ALL_DIALECTS}},
		.n_keys = 2,
		.dialects = RECEIVE_ALL_DIALECTS,
	};
	struct receive_config rc = {
		.apps = &app,
		.n_apps = 1,
		.max_body = MAX_BODY,
	};
	struct store_config sc = {.data_dir = s->config->inbox_dir,
				  .ballast_bytes = INBOX_BALLAST,
				  .max_queue = INBOX_QUEUE};
	int err = store_open(&sc, &s->inbox, e);

	if (err || addr_parse("127.0.0.1:0", &rc.listen))
		return err;
	return receive_open(s->loop, s->inbox, s->workers, &rc, &events, s,
			    &s->receive, e);
}

/* ---- life ---------------------------------------------------------------------------------- */

static int find_voices(struct stage *s)
{
	static const struct {
		const char *user, *asset;
		enum ink ink;
		int64_t turn_us;
	} cast[DEMO_VOICES] = {
		{"alice", "demo/alice.opus", INK_CYAN, 0},
		{"bob", "demo/bob.opus", INK_MAGENTA, BOB_US},
	};
	int err = 0;

	for (int i = 0; i < DEMO_VOICES && !err; i++) {
		struct voice *v = &s->voices[i];

		*v = (struct voice){.stage = s,
				    .view = &s->views[i],
				    .asset = asset_find(cast[i].asset),
				    .turn_us = cast[i].turn_us};
		assert(v->asset);
		/* In a short demo everybody must have their say, too. */
		if (v->turn_us > s->config->speak_us / 2)
			v->turn_us = s->config->speak_us / 2;
		s->views[i].user = cast[i].user;
		s->views[i].ink = cast[i].ink;
		err = sound_decoder_new(&v->decoder);
	}
	return err;
}

int stage_new(const struct stage_config *config, struct stage **out,
	      struct err *e)
{
	struct stage *s = mem_zalloc(sizeof(*s));
	struct http_client_config hc = {.max_connections = 4,
					.user_agent = "tapeop-demo",
					.dns_ttl_us = CLOCK_US_PER_S};
	int err;

	*e = (struct err){0};
	if (!s)
		return err_set(e, ENOMEM, "", "out of memory");
	s->config = config;
	s->show = config->show;
	err = loop_new(&s->loop);
	if (!err)
		err = find_voices(s);
	if (!err)
		err = workers_new("stage", 1, &s->workers);
	if (!err) {
		hc.workers = s->workers;
		err = http_client_new(s->loop, &hc, &s->client);
	}
	if (!err)
		err = open_receiver(s, e);
	if (!err) {
		*out = s;
		return 0;
	}
	if (!e->code)
		err_set(e, err, "", "cannot start: %s", strerror(err));
	stage_free(s);
	return err;
}

void stage_backend(const struct stage *s, struct addr *out)
{
	receive_addr(s->receive, out);
}

static void stage_run(void *arg)
{
	struct stage *s = arg;

	loop_run(s->loop);
}

int stage_start(struct stage *s)
{
	int err = timer_start(&s->timer, s->loop, now(s), on_begin);

	if (!err)
		err = thread_start("stage", stage_run, s, &s->thread);
	return err;
}

/* ---- mail ------------------------------------------------------------------------------------ */

/** Something that another thread has to say. */
struct note {
	struct mail mail;
	struct stage *stage;
	const char *who;
	enum ink ink;
	char text[];
};

static void on_note(struct mail *mail)
{
	struct note *n = CONTAINER_OF(mail, struct note, mail);

	show_line(n->stage->show, now(n->stage), n->who, n->ink, "%s", n->text);
	mem_free(n);
}

void stage_say(struct stage *s, const char *who, enum ink ink, const char *text)
{
	size_t len = strlen(text) + 1;
	struct note *n = mem_zalloc(sizeof(*n) + len);

	if (!n)
		return;
	n->stage = s;
	n->who = who;
	n->ink = ink;
	memcpy(n->text, text, len);
	mail_post(s->loop, &n->mail, on_note);
}

static void on_hush(struct mail *mail)
{
	struct stage *s = CONTAINER_OF(mail, struct stage, hush);

	fall_silent(s);
	timer_stop(&s->timer);
}

void stage_hush(struct stage *s)
{
	atomic_store(&s->hushed, true);
	mail_post(s->loop, &s->hush, on_hush);
}

void stage_end(struct stage *s)
{
	if (!s || !s->thread)
		return;
	loop_stop(s->loop);
	thread_join(s->thread);
	s->thread = NULL;
}

void stage_free(struct stage *s)
{
	if (!s)
		return;
	assert(!s->thread);
	for (int i = 0; i < DEMO_VOICES; i++) {
		timer_stop(&s->voices[i].turn);
		rtp_sender_free(s->voices[i].sender);
		sound_decoder_free(s->voices[i].decoder);
	}
	timer_stop(&s->timer);
	receive_close(s->receive);
	atomic_store(&s->hushed, true); /* a call under way ends: no matter */
	http_client_free(s->client);
	workers_free(s->workers);
	store_close(s->inbox);
	if (s->loop)
		loop_turn(s->loop, 0); /* what the threads posted last */
	loop_free(s->loop);
	json_decref(s->segments);
	ledger_fini(&s->ledger);
	mem_free(s);
}
