/** control/tasks.c -- tasks and segments in the API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "control/call.h"
#include "sound/sound.h"
#include "wire/sig.h"

static const char *const modes[] = {"single", "mixed", "both", NULL};
static const char *const formats[] = {"mp3", "ogg", NULL};

enum {
	IDLE_MAX_MS = 240 * 3600 * 1000,
	SEGMENT_MIN_MS = 1000,
	SEGMENT_MAX_MS = 24 * 3600 * 1000,
	URL_MAX = 8192,
	AUDIO_URL_S = 900 /* how long a redirection to a store is good */
};

/* ---- JSON --------------------------------------------------------------------- */

static json_t *time_json(int64_t ms)
{
	return ms ? json_integer(ms) : json_null();
}

static json_t *row_json(const struct task_row *t)
{
	return json_pack(
		"{s:o, s:I, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:I, s:o, s:o, "
		"s:b, s:b, s:I, s:I, s:o}",
		"task_id", call_id(t->id), "app", (json_int_t)t->app, "room",
		t->room, "mode", modes[t->mode], "format", formats[t->format],
		"sample_rate", (int)t->sample_rate, "state",
		task_state_name(t->state), "reason", t->reason, "reason_text",
		t->reason_text, "created_ms", (json_int_t)t->created_ms,
		"stopped_ms", time_json(t->stopped_ms), "finished_ms",
		time_json(t->finished_ms), "auto", t->is_auto, "paused",
		t->is_paused, "max_idle_ms", (json_int_t)t->max_idle_ms,
		"hold_empty_ms", (json_int_t)t->hold_empty_ms, "segment_ms",
		time_json(t->segment_ms));
}

static void add_lists(json_t *item, const struct task_row *t)
{
	json_t *lists = t->subscribe && t->subscribe[0]
				? json_loads(t->subscribe, 0, NULL)
				: NULL;

	if (lists)
		json_object_update(item, lists);
	json_decref(lists);
}

static json_t *task_json(struct call *c, const struct task_row *t)
{
	json_t *item = row_json(t);
	struct task_info live = {0};

	rooms_task_info(c->control->rooms, t->id, &live);
	if (item) {
		json_object_set_new(item, "segments_open",
				    json_integer(live.segments_open));
		add_lists(item, t);
	}
	return item;
}

json_t *task_info_json(const struct task_info *t)
{
	const struct task_row row = {
		.id = t->id,
		.app = t->app,
		.mode = t->mode,
		.format = t->format,
		.sample_rate = t->sample_rate,
		.state = t->state,
		.created_ms = t->created_ms,
		.stopped_ms = t->stopped_ms,
		.is_auto = t->is_auto,
		.is_paused = t->is_paused,
		.max_idle_ms = t->max_idle_ms,
		.hold_empty_ms = t->hold_empty_ms,
		.segment_ms = t->segment_ms,
	};
	json_t *item = row_json(&row);
	json_t *users = json_array();

	json_object_set_new(item, "room", json_string(t->room));
	json_object_set_new(item, "reason", json_string(t->reason));
	json_object_set_new(item, "reason_text", json_string(t->reason_text));
	json_object_set_new(item, "segments_open",
			    json_integer(t->segments_open));
	for (size_t i = 0; i < t->subscribe.n; i++)
		json_array_append_new(users,
				      json_string(t->subscribe.users[i]));
	if (t->subscribe.n)
		json_object_set(
			item, t->subscribe.allow ? "subscribe" : "unsubscribe",
			users);
	json_decref(users);
	return item;
}

/** One task's answers say where its files go; storage and prefix: as in
 *  task_row. */
static json_t *with_storage(const struct call *c, uint64_t storage,
			    const char *prefix, json_t *item)
{
	char url[EVENT_LOCATION_MAX];

	if (storage)
		rooms_storage_url(c->control->rooms, storage, prefix, url,
				  sizeof(url));
	json_object_set_new(item, "storage",
			    json_string(storage ? url : c->control->storage));
	return item;
}

static json_t *segment_json(const struct segment_row *s)
{
	return json_pack(
		"{s:o, s:o, s:s, s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:s, s:b, "
		"s:s, s:s}",
		"segment_id", call_id(s->id), "task_id", call_id(s->task),
		"user", s->user, "mode", modes[s->mode], "seq", (int)s->seq,
		"state", segment_state_name(s->state), "file", s->file_name,
		"start_ms", (json_int_t)s->start_ms, "duration_ms",
		(json_int_t)(s->frames / SOUND_FRAMES_PER_MS), "size",
		(json_int_t)s->size, "sha256", s->sha256, "uploaded",
		s->uploaded_ms != 0, "reason", s->reason, "reason_text",
		s->reason_text);
}

/** When that is asked for: a URL that anybody can get it by, null: there is
 *  none, because it is in no bucket. */
static json_t *with_url(const struct call *c, const struct segment_row *s,
			json_t *item)
{
	struct buf url;

	if (!c->presign_s)
		return item;
	buf_init(&url, URL_MAX);
	if (rooms_segment_url(c->control->rooms, s, c->presign_s, &url))
		json_object_set_new(item, "url", json_null());
	else
		json_object_set_new(item, "url", json_string(buf_str(&url)));
	buf_fini(&url);
	return item;
}

/** {"<name>": list, "next": id of the last row or null} */
static json_t *page_json(const char *name, json_t *list, bool more,
			 uint64_t last)
{
	if (!list)
		return NULL;
	return json_pack("{s:o, s:o}", name, list, "next",
			 more ? call_id(last) : json_null());
}

/* ---- start, change, stop ---------------------------------------------------------- */

static void on_started(const struct err *e, const struct task_info *t,
		       void *arg)
{
	if (e->code)
		call_error(arg, e);
	else
		call_reply(arg, 201,
			   with_storage(arg, t->storage, t->storage_prefix,
					task_info_json(t)));
}

static void on_done(const struct err *e, const struct task_info *t, void *arg)
{
	if (e->code)
		call_error(arg, e);
	else
		call_reply(arg, 200,
			   with_storage(arg, t->storage, t->storage_prefix,
					task_info_json(t)));
}

/** One of the rates that MP3 has a preset for. */
static bool read_rate(struct call *c, struct task_wish *wish)
{
	int64_t rate = 0;

	if (!call_integer(c, "sample_rate", 16000, 48000, &rate))
		return false;
	if (rate && rate != 16000 && rate != 24000 && rate != 48000) {
		call_problem(c, 400, "sample_rate",
			     "sample_rate: must be one of: 48000, 24000, "
			     "16000");
		return false;
	}
	if (rate && rate != 48000 && wish->format == FORMAT_OGG) {
		call_problem(c, 400, "sample_rate",
			     "sample_rate: of format mp3 only; ogg has 48000");
		return false;
	}
	wish->sample_rate = (uint32_t)rate;
	return true;
}

void tasks_start(struct call *c)
{
	static const char *const keys[] = {
		"mode",	       "format",	"sample_rate",
		"max_idle_ms", "hold_empty_ms", "segment_ms",
		"subscribe",   "unsubscribe",	NULL};
	struct task_wish wish = {.room = c->parts[1],
				 .client_ip = c->client_ip,
				 .platform = "RESTAPI",
				 .format = -1,
				 .max_idle_ms = -1,
				 .hold_empty_ms = -1};
	bool given;
	int mode = MODE_SINGLE;

	if (!c->body)
		c->body = json_object();
	if (!call_app(c, c->parts[0], &wish.app) ||
	    !call_name(c, c->parts[1], "room") || !call_keys(c, keys) ||
	    !call_choice(c, "mode", modes, &mode) ||
	    !call_choice(c, "format", formats, &wish.format) ||
	    !read_rate(c, &wish) ||
	    !call_integer(c, "max_idle_ms", 0, IDLE_MAX_MS,
			  &wish.max_idle_ms) ||
	    !call_integer(c, "hold_empty_ms", 0, IDLE_MAX_MS,
			  &wish.hold_empty_ms) ||
	    !call_integer(c, "segment_ms", SEGMENT_MIN_MS, SEGMENT_MAX_MS,
			  &wish.segment_ms) ||
	    !call_lists(c, &wish.subscribe, &given))
		return;
	wish.mode = (enum record_mode)mode;
	rooms_task_start(c->control->rooms, &wish, on_started, c);
}

void tasks_change(struct call *c)
{
	static const char *const keys[] = {"subscribe", "unsubscribe", "paused",
					   "mode", NULL};
	struct task_change change = {.who = {c->client_ip, "RESTAPI"}};
	int mode = MODE_SINGLE;
	uint64_t id;

	if (!call_number(c, c->parts[0], "task", &id) || !call_keys(c, keys) ||
	    !call_lists(c, &change.subscribe, &change.has_lists) ||
	    !call_bool(c, "paused", &change.paused) ||
	    !call_choice(c, "mode", modes, &mode))
		return;
	change.has_paused = json_object_get(c->body, "paused") != NULL;
	change.has_mode = json_object_get(c->body, "mode") != NULL;
	change.mode = (enum record_mode)mode;
	if (!change.has_lists && !change.has_paused && !change.has_mode) {
		call_problem(c, 400, "subscribe",
			     "subscribe, unsubscribe, paused or mode: one is "
			     "required");
		return;
	}
	rooms_task_change(c->control->rooms, id, &change, on_done, c);
}

/** What is stored already is where it went, whatever the settings say now. */
static void on_first_file(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	char url[EVENT_LOCATION_MAX];
	json_t *item;

	if (call_rows_are_bad(c, rows))
		return;
	if (rows->n && rows->segments[0].uploaded_ms) {
		rooms_segment_below(c->control->rooms, &rows->segments[0], url,
				    sizeof(url));
		json_object_set_new(c->answer, "storage", json_string(url));
	}
	store_rows_free(rows);
	item = c->answer;
	c->answer = NULL;
	call_reply(c, 200, item);
}

static void on_one_task(struct store_rows *rows, void *arg)
{
	struct call *c = arg;

	if (call_rows_are_bad(c, rows))
		return;
	if (!rows->n) {
		store_rows_free(rows);
		call_problem(c, 404, "task", "there is no task %s",
			     c->parts[0]);
		return;
	}
	c->answer = with_storage(c, rows->tasks[0].storage,
				 rows->tasks[0].storage_prefix,
				 task_json(c, &rows->tasks[0]));
	c->filter = (struct store_filter){.what = READ_SEGMENTS,
					  .task = rows->tasks[0].id,
					  .state = SEG_CLOSED,
					  .limit = 1};
	store_rows_free(rows);
	call_ask(c, on_first_file);
}

static void ask_task(struct call *c, uint64_t id, store_rows_fn *done)
{
	c->filter = (struct store_filter){
		.what = READ_TASKS, .id = id, .state = -1, .limit = 1};
	call_ask(c, done);
}

void tasks_stop(struct call *c)
{
	const struct caller who = {c->client_ip, "RESTAPI"};
	struct task_info live;
	uint64_t id;

	if (!call_number(c, c->parts[0], "task", &id))
		return;
	if (rooms_task_info(c->control->rooms, id, &live))
		rooms_task_stop(c->control->rooms, id, &who, on_done, c);
	else
		ask_task(c, id, on_one_task); /* stopping twice is fine */
}

void tasks_show(struct call *c)
{
	uint64_t id;

	if (call_number(c, c->parts[0], "task", &id))
		ask_task(c, id, on_one_task);
}

/* ---- lists ---------------------------------------------------------------------------- */

static void on_tasks(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	json_t *list;
	uint64_t last = 0;
	bool more;

	if (call_rows_are_bad(c, rows))
		return;
	list = json_array();
	for (size_t i = 0; i < rows->n; i++) {
		json_array_append_new(list, task_json(c, &rows->tasks[i]));
		last = rows->tasks[i].id;
	}
	more = rows->more;
	store_rows_free(rows);
	call_reply(c, 200, page_json("tasks", list, more, last));
}

/** finished=false: those that are still being recorded or stored. */
static bool query_finished(struct call *c)
{
	const char *text = http_query(c->request, "finished");

	if (text && strcmp(text, "false") != 0) {
		call_problem(c, 400, "finished",
			     "finished: must be false, or left out");
		return false;
	}
	c->filter.unfinished = text != NULL;
	return true;
}

static bool query_state(struct call *c)
{
	const char *text = http_query(c->request, "state");
	enum task_state state;

	c->filter.state = -1;
	if (!query_finished(c))
		return false;
	if (!text)
		return true;
	if (!task_state_parse(text, &state)) {
		call_problem(c, 400, "state",
			     "state: must be one of: running, stopping, "
			     "stopped, failed");
		return false;
	}
	c->filter.state = (int)state;
	return true;
}

/** What a name begins with is one. */
static bool query_name(struct call *c, const char *key, const char **name)
{
	*name = http_query(c->request, key);
	return !*name || call_name(c, *name, key);
}

static bool query_times(struct call *c)
{
	struct store_filter *f = &c->filter;

	if (!call_query_integer(c, "from_ms", 0, INT64_MAX, &f->from_ms) ||
	    !call_query_integer(c, "to_ms", 0, INT64_MAX, &f->to_ms))
		return false;
	if (!f->to_ms || f->to_ms > f->from_ms)
		return true;
	call_problem(c, 400, "to_ms",
		     "to_ms: must be over from_ms, or 0: no end");
	return false;
}

void tasks_list(struct call *c)
{
	static const char *const keys[] = {
		"state",   "finished", "app",	"room",	 "user", "text",
		"from_ms", "to_ms",    "limit", "after", NULL};
	const char *app = http_query(c->request, "app");

	c->filter =
		(struct store_filter){.what = READ_TASKS, .newest_first = true};
	if (call_query_keys(c, keys) && query_state(c) &&
	    call_page(c, &c->filter) && query_times(c) &&
	    (!app || call_app(c, app, &c->filter.app)) &&
	    query_name(c, "room", &c->filter.room) &&
	    query_name(c, "user", &c->filter.user) &&
	    query_name(c, "text", &c->filter.text))
		call_ask(c, on_tasks);
}

/** There are no segments: of a task that has none, or of none? */
static void on_task_of_none(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	bool known;

	if (call_rows_are_bad(c, rows))
		return;
	known = rows->n > 0;
	store_rows_free(rows);
	if (known)
		call_reply(c, 200,
			   page_json("segments", json_array(), false, 0));
	else
		call_problem(c, 404, "task", "there is no task %s",
			     c->parts[0]);
}

static void on_segments(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	json_t *list;
	uint64_t last = 0;
	bool more;

	if (call_rows_are_bad(c, rows))
		return;
	if (!rows->n) {
		store_rows_free(rows);
		ask_task(c, c->filter.task, on_task_of_none);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < rows->n; i++) {
		json_array_append_new(
			list, with_url(c, &rows->segments[i],
				       segment_json(&rows->segments[i])));
		last = rows->segments[i].id;
	}
	more = rows->more;
	store_rows_free(rows);
	call_reply(c, 200, page_json("segments", list, more, last));
}

static bool read_presign(struct call *c)
{
	const char *text = http_query(c->request, "presign");

	if (!text || !str_to_i64(text, 1, UPLOAD_PRESIGN_MAX_S, &c->presign_s))
		return true;
	call_problem(c, 400, "presign", "presign: seconds from 1 to %d",
		     UPLOAD_PRESIGN_MAX_S);
	return false;
}

void segments_list(struct call *c)
{
	static const char *const keys[] = {"limit", "after", "presign", NULL};

	c->filter = (struct store_filter){.what = READ_SEGMENTS, .state = -1};
	if (call_query_keys(c, keys) && read_presign(c) &&
	    call_number(c, c->parts[0], "task", &c->filter.task) &&
	    call_page(c, &c->filter))
		call_ask(c, on_segments);
}

/* ---- audio ------------------------------------------------------------------------------ */

/** RFC 3003, RFC 5334. */
static const char *audio_type(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && !strcmp(dot, ".ogg") ? "audio/ogg" : "audio/mpeg";
}

/** The store sends it, with Range, to whoever has the URL. */
static void redirect(struct call *c, const struct segment_row *s)
{
	struct buf url;
	int err;

	buf_init(&url, URL_MAX);
	err = rooms_segment_url(c->control->rooms, s, AUDIO_URL_S, &url);
	if (err == ENXIO) {
		call_problem(c, 404, "segment",
			     "%s is in a bucket that is not configured any "
			     "more: see storage.s3",
			     s->file_name);
	} else if (err) {
		call_problem(c, 500, "segment", "%s: %s", s->file_name,
			     strerror(err));
	} else {
		c->extra = (struct http_field){"Location", buf_str(&url)};
		call_reply(c, 302, json_pack("{s:s}", "url", buf_str(&url)));
	}
	buf_fini(&url);
}

/** The segment that was asked for, if it is closed; answers itself when not. */
static bool take_closed(struct call *c, struct store_rows *rows,
			struct segment_row *s)
{
	if (call_rows_are_bad(c, rows))
		return false;
	if (!rows->n) {
		store_rows_free(rows);
		call_problem(c, 404, "segment", "there is no segment %s",
			     c->parts[0]);
		return false;
	}
	*s = rows->segments[0];
	store_rows_free(rows);
	if (s->state == SEG_CLOSED)
		return true;
	call_problem(c, s->state < SEG_CLOSED ? 409 : 410, "segment",
		     "segment %s is %s: there is no finished file", c->parts[0],
		     segment_state_name(s->state));
	return false;
}

static void on_audio_row(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	struct segment_row s;
	char path[1280];
	int fd;

	if (!take_closed(c, rows, &s))
		return;
	if (rooms_segment_is_remote(&s)) {
		redirect(c, &s);
		return;
	}
	rooms_segment_path(c->control->rooms, &s, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		call_problem(c, 404, "segment", "%s: %s", s.file_name,
			     strerror(errno));
		return;
	}
	http_reply_file(c->request, fd, audio_type(s.file_name));
	call_free(c);
}

void segments_audio(struct call *c)
{
	c->filter = (struct store_filter){
		.what = READ_SEGMENTS, .state = -1, .limit = 1};
	if (call_number(c, c->parts[0], "segment", &c->filter.id))
		call_ask(c, on_audio_row);
}

/* ---- waveform ----------------------------------------------------------------------------- */

static void answer_wave(struct call *c, const struct wave_row *w)
{
	uint8_t peaks[SOUND_PEAKS_MAX];
	json_t *list;
	size_t n;

	if (sig_base64_parse(w->peaks, peaks, sizeof(peaks), &n)) {
		call_problem(c, 500, "segment",
			     "its waveform in the database cannot be read");
		return;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(peaks[i]));
	call_reply(
		c, 200,
		json_pack("{s:o, s:I, s:o}", "segment_id", call_id(w->segment),
			  "bucket_ms",
			  (json_int_t)(w->bucket_frames / SOUND_FRAMES_PER_MS),
			  "peaks", list));
}

static void on_made(const struct err *e, const struct wave_row *w, void *arg)
{
	struct call *c = arg;

	if (!c->request)
		call_free(c);
	else if (e->code == ENOENT || e->code == EBADMSG)
		call_problem(c, 404, "segment", "%s", e->text);
	else if (e->code)
		call_error(c, e);
	else
		answer_wave(c, w);
}

static void on_wave(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	struct wave_row w;

	if (call_rows_are_bad(c, rows))
		return;
	if (!rows->n) {
		store_rows_free(rows);
		if (rooms_segment_is_remote(&c->segment))
			call_problem(c, 404, "segment",
				     "segment %s has no waveform: it was not "
				     "made before the file went into its "
				     "bucket",
				     c->parts[0]);
		else
			rooms_wave(c->control->rooms, &c->segment, on_made, c);
		return;
	}
	w = rows->waves[0];
	rows->waves[0].peaks = NULL;
	store_rows_free(rows);
	answer_wave(c, &w);
	mem_free(w.peaks);
}

static void on_wave_segment(struct store_rows *rows, void *arg)
{
	struct call *c = arg;

	if (!take_closed(c, rows, &c->segment))
		return;
	c->filter = (struct store_filter){.what = READ_WAVES,
					  .id = c->segment.id,
					  .state = -1,
					  .limit = 1};
	call_ask(c, on_wave);
}

void segments_waveform(struct call *c)
{
	c->filter = (struct store_filter){
		.what = READ_SEGMENTS, .state = -1, .limit = 1};
	if (call_number(c, c->parts[0], "segment", &c->filter.id))
		call_ask(c, on_wave_segment);
}
