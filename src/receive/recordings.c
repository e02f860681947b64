/**
 * receive/recordings.c -- one truth from events in any order: taking them in.
 * recordings.h says how it is that order does not matter.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/recordings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/json_text.h"

enum {
	SEGMENT_KEY_MAX = FILE_NAME_MAX + 64,
	FAILURE_NAME_MAX = 2 << 20, /* more than a body is long */
	DIALECT_STEP = 8
};

static const uint64_t HASH_STEP = 0x9e3779b97f4a7c15U;

/* The weightier the later: its place is its weight. */
const char *const seen_dialects[] = {"gme", "live", "trtc", "standard", NULL};

/** Where an endpoint's test comes from, in dialects without a word for it. */
static const char test_name[] = "tapeop-test";

/** A kind of event that is about a segment. */
static const struct segment_kind {
	const char *name;
	enum seen_rank rank;
} segment_kinds[] = {
	/* the weightier the later, too */
	{"started", SEEN_STARTED},
	{"upload_failing", SEEN_COMPLETED},
	{"completed", SEEN_COMPLETED},
	{"uploaded", SEEN_UPLOADED},
};

static const char *const number_names[SEEN_NUMBERS] = {
	[SEEN_START_MS] = "start_ms",
	[SEEN_END_MS] = "end_ms",
	[SEEN_DURATION_MS] = "duration_ms",
	[SEEN_SIZE] = "size",
};
static const char *const text_names[SEEN_TEXTS] = {
	[SEEN_USER] = "user",	  [SEEN_FILE] = "file",
	[SEEN_SHA256] = "sha256", [SEEN_LOCATION] = "location",
	[SEEN_REASON] = "reason",
};

void recordings_init(struct recordings *r, size_t max_parts)
{
	*r = (struct recordings){.max_parts = max_parts};
	map_init(&r->tasks);
	map_init(&r->segments);
	list_init(&r->order);
}

/* ---- forgetting ----------------------------------------------------------- */

static void segment_free(struct seen_segment *s)
{
	for (size_t i = 0; i < SEEN_TEXTS; i++)
		mem_free(s->texts[i].value);
	mem_free(s);
}

static void task_free(struct seen_task *t)
{
	json_decref(t->files);
	json_decref(t->failures);
	mem_free(t->told);
	mem_free(t);
}

/** Forget a task with all that belongs to it. */
static void drop_task(struct recordings *r, struct seen_task *t)
{
	r->n_parts -= 1 + t->n_segments + json_object_size(t->files) +
		      json_object_size(t->failures);
	LIST_EACH(&t->segments, l, after)
	{
		struct seen_segment *s =
			CONTAINER_OF(l, struct seen_segment, link);

		map_remove(&r->segments, &s->node);
		segment_free(s);
	}
	map_remove(&r->tasks, &t->node);
	list_remove(&t->link);
	task_free(t);
}

void recordings_fini(struct recordings *r)
{
	LIST_EACH(&r->order, l, after)
	drop_task(r, CONTAINER_OF(l, struct seen_task, link));
	map_fini(&r->tasks);
	map_fini(&r->segments);
}

/** Forget what was told of longest ago until one more part fits beside
 *  `keep`.  Returns false when `keep` alone is too large. */
static bool make_room(struct recordings *r, const struct seen_task *keep)
{
	while (r->n_parts + 1 > r->max_parts) {
		struct link *first = list_first(&r->order);
		struct seen_task *t =
			first ? CONTAINER_OF(first, struct seen_task, link)
			      : NULL;

		if (!t || t == keep)
			return false;
		drop_task(r, t);
	}
	return true;
}

/* ---- reading an event ------------------------------------------------------ */

const char *recordings_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

json_int_t recordings_number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static bool is_kind(const json_t *event, const char *kind)
{
	return !strcmp(recordings_text(event, "kind"), kind);
}

/** When it happened, or else when it was sent; 0: not told. */
static json_int_t time_of(const json_t *event)
{
	json_int_t ms = recordings_number(event, "event_ms");

	return ms ? ms : recordings_number(event, "sent_ms");
}

/** From 1; 0: no dialect that we know. */
static int dialect_of(const json_t *event)
{
	const char *name = recordings_text(event, "dialect");

	for (int i = 0; seen_dialects[i]; i++) {
		if (!strcmp(name, seen_dialects[i]))
			return i + 1;
	}
	return 0;
}

static const struct segment_kind *segment_kind_of(const json_t *event)
{
	for (size_t i = 0; i < ARRAY_LEN(segment_kinds); i++) {
		if (is_kind(event, segment_kinds[i].name))
			return &segment_kinds[i];
	}
	return NULL;
}

static bool is_test(const json_t *event)
{
	return is_kind(event, "test") ||
	       (!strcmp(recordings_text(event, "room"), test_name) &&
		!strcmp(recordings_text(event, "user"), test_name));
}

/* ---- tasks ------------------------------------------------------------------ */

static struct seen_task *new_task(struct recordings *r, const json_t *event,
				  const char *key)
{
	struct seen_task *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	str_copy(t->key, sizeof(t->key), key);
	str_copy(t->task, sizeof(t->task), recordings_text(event, "task_id"));
	t->app = recordings_number(event, "app");
	t->leave_code = -1;
	list_init(&t->segments);
	t->files = json_object();
	t->failures = json_object();
	if (!t->files || !t->failures ||
	    map_add(&r->tasks, &t->node, t->key, strlen(t->key))) {
		task_free(t);
		return NULL;
	}
	t->number = r->next_number++;
	list_append(&r->order, &t->link);
	r->n_parts++;
	return t;
}

/** Its task, which is the last one told of now. */
static int get_task(struct recordings *r, const json_t *event,
		    struct seen_task **out)
{
	struct seen_task *t;
	struct map_node *n;
	char key[TASK_KEY_MAX];

	snprintf(key, sizeof(key), "%lld/%s",
		 (long long)recordings_number(event, "app"),
		 recordings_text(event, "task_id"));
	n = map_find(&r->tasks, key, strlen(key));
	if (n) {
		t = CONTAINER_OF(n, struct seen_task, node);
		list_remove(&t->link);
		list_append(&r->order, &t->link);
	} else {
		if (!make_room(r, NULL))
			return ENOBUFS;
		t = new_task(r, event, key);
	}
	if (!t)
		return ENOMEM;
	*out = t;
	return 0;
}

static void earliest(json_int_t *at, json_int_t ms)
{
	if (ms && (!*at || ms < *at))
		*at = ms;
}

static void latest(json_int_t *at, json_int_t ms)
{
	if (ms > *at)
		*at = ms;
}

/** What every event tells of its task. */
static void add_common(struct seen_task *t, const json_t *event)
{
	const char *room = recordings_text(event, "room");
	int dialect = dialect_of(event);

	if (strcmp(room, t->room) > 0)
		str_copy(t->room, sizeof(t->room), room);
	if (dialect)
		t->dialects |= 1U << (dialect - 1);
	earliest(&t->first_ms, time_of(event));
	latest(&t->last_ms, time_of(event));
}

/** What an event of a task tells beside files and failures. */
static void add_flags(struct seen_task *t, const json_t *event)
{
	json_int_t status = recordings_number(event, "status");
	json_int_t ms = time_of(event);

	if (is_kind(event, "task_failed"))
		t->failed = true;
	if (is_kind(event, "task_started") && status)
		t->start_failed = true;
	if (is_kind(event, "task_started") && !status) {
		t->started = true;
		earliest(&t->started_ms, ms);
	}
	if (is_kind(event, "task_stopped")) {
		t->stopped = true;
		latest(&t->leave_code, recordings_number(event, "leave_code"));
		latest(&t->stopped_ms, ms);
	}
	/* 1: something still waits on the server; 2: it came later */
	if (is_kind(event, "upload_stopped") && status != 1)
		t->upload_stopped = true;
	if (is_kind(event, "files_ready") && !status)
		t->files_ok = true;
}

/* ---- segments ----------------------------------------------------------------- */

static void take_number(struct seen_number *to, json_int_t value, int weight)
{
	if (value <= 0 || weight < to->weight ||
	    (weight == to->weight && value <= to->value))
		return;
	*to = (struct seen_number){value, weight};
}

static int take_text(struct seen_text *to, const char *value, int weight)
{
	char *copy;

	if (!value[0] || weight < to->weight ||
	    (weight == to->weight && strcmp(value, to->value) <= 0))
		return 0;
	copy = mem_strdup(value);
	if (!copy)
		return ENOMEM;
	mem_free(to->value);
	*to = (struct seen_text){copy, weight};
	return 0;
}

static struct seen_segment *new_segment(struct recordings *r,
					struct seen_task *t, const char *key)
{
	size_t len = strlen(key);
	struct seen_segment *s = mem_zalloc(sizeof(*s) + len + 1);

	if (!s)
		return NULL;
	memcpy(s->key, key, len);
	if (map_add(&r->segments, &s->node, s->key, len)) {
		mem_free(s);
		return NULL;
	}
	list_append(&t->segments, &s->link);
	t->n_segments++;
	r->n_parts++;
	return s;
}

/** A segment's name among all; returns where its last part begins. */
static size_t write_key(const struct seen_task *t, const json_t *event,
			bool has_seq, bool mixed, char *key, size_t cap)
{
	const char *last = recordings_text(event, has_seq ? "user" : "file");
	int at;

	if (has_seq)
		at = snprintf(key, cap, "%llu/%d/%lld/",
			      (unsigned long long)t->number, mixed,
			      (long long)recordings_number(event, "seq"));
	else
		at = snprintf(key, cap, "%llu/file/",
			      (unsigned long long)t->number);
	str_copy(key + at, cap - (size_t)at, last);
	return (size_t)at;
}

/** *out is NULL when the event does not say which segment. */
static int get_segment(struct recordings *r, struct seen_task *t,
		       const json_t *event, struct seen_segment **out)
{
	bool has_seq = json_is_integer(json_object_get(event, "seq"));
	bool mixed = !strcmp(recordings_text(event, "mode"), "mixed");
	struct seen_segment *s;
	struct map_node *n;
	char key[SEGMENT_KEY_MAX];
	size_t last_at;

	*out = NULL;
	if (!has_seq && !recordings_text(event, "file")[0])
		return 0;
	last_at = write_key(t, event, has_seq, mixed, key, sizeof(key));
	n = map_find(&r->segments, key, strlen(key));
	if (n) {
		*out = CONTAINER_OF(n, struct seen_segment, node);
		return 0;
	}
	if (!make_room(r, t))
		return ENOBUFS;
	s = new_segment(r, t, key);
	if (!s)
		return ENOMEM;
	s->has_seq = has_seq;
	s->seq = recordings_number(event, "seq");
	s->user = has_seq ? s->key + last_at : "";
	*out = s;
	return 0;
}

static int add_segment(struct recordings *r, struct seen_task *t,
		       const json_t *event, const struct segment_kind *kind)
{
	int weight = (int)(kind - segment_kinds + 1) * DIALECT_STEP +
		     dialect_of(event);
	struct seen_segment *s;
	int err = get_segment(r, t, event, &s);

	if (err || !s)
		return err;
	/* whose it is says its key, when it has a number */
	for (size_t i = s->has_seq ? SEEN_FILE : SEEN_USER;
	     i < SEEN_TEXTS && !err; i++)
		err = take_text(&s->texts[i],
				recordings_text(event, text_names[i]), weight);
	if (err)
		return err;
	for (size_t i = 0; i < SEEN_NUMBERS; i++)
		take_number(&s->numbers[i],
			    recordings_number(event, number_names[i]), weight);
	if (kind->rank > s->rank)
		s->rank = kind->rank;
	if (!strcmp(recordings_text(event, "mode"), "mixed"))
		s->mixed = true;
	latest(&s->last_ms, time_of(event));
	return 0;
}

/* ---- files ---------------------------------------------------------------------- */

/** Of two values of one member the bigger one stays. */
static bool is_bigger(const json_t *a, const json_t *b)
{
	if (!b)
		return true;
	if (json_is_string(a) && json_is_string(b))
		return strcmp(json_string_value(a), json_string_value(b)) > 0;
	if (json_is_integer(a) && json_is_integer(b))
		return json_integer_value(a) > json_integer_value(b);
	return json_typeof(a) > json_typeof(b);
}

/** Put the members of `file` into `known`. */
static int merge(json_t *known, json_t *file)
{
	const char *name;
	json_t *value;

	json_object_foreach(file, name, value)
	{
		if (is_bigger(value, json_object_get(known, name)) &&
		    json_object_set(known, name, value))
			return ENOMEM;
	}
	return 0;
}

static int add_files(struct recordings *r, struct seen_task *t,
		     const json_t *files)
{
	json_t *file;
	size_t i;

	json_array_foreach(files, i, file)
	{
		const char *name = recordings_text(file, "name");
		json_t *known = json_object_get(t->files, name);
		int err;

		if (!known) {
			if (!make_room(r, t))
				return ENOBUFS;
			known = json_object();
			if (json_object_set_new(t->files, name, known))
				return ENOMEM;
			r->n_parts++;
		}
		err = merge(known, file);
		if (err)
			return err;
	}
	return 0;
}

/* ---- failures ------------------------------------------------------------------- */

/** Why an event is a failure, or a warning: its code; NULL: it is none. */
static const char *code_of(const json_t *event)
{
	static const char *const telling[] = {"completed",   "upload_failing",
					      "task_failed", "input_lost",
					      "no_audio",    "disk_low"};
	const char *reason = recordings_text(event, "reason");
	json_int_t status = recordings_number(event, "status");

	for (size_t i = 0; i < ARRAY_LEN(telling); i++) {
		if (!is_kind(event, telling[i]))
			continue;
		if (reason[0])
			return reason;
		return strcmp(telling[i], "completed") ? telling[i] : NULL;
	}
	if (status && is_kind(event, "task_started"))
		return reason[0] ? reason : "not_started";
	if (status == 1 && is_kind(event, "upload_stopped"))
		return "upload_waits";
	if (status && is_kind(event, "files_ready"))
		return "files_missing";
	return NULL;
}

static int put_copies(json_t *o, const json_t *event)
{
	static const char *const names[] = {"user", "mode", "seq", "file"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *value = json_object_get(event, names[i]);

		if (value && json_object_set(o, names[i], value))
			return ENOMEM;
	}
	return 0;
}

/** NULL when out of memory. */
static json_t *new_failure(const json_t *event, const char *code)
{
	json_t *o = json_pack("{s:s, s:I, s:s, s:s}", "kind",
			      recordings_text(event, "kind"), "ms",
			      time_of(event), "code", code, "message",
			      recordings_text(event, "reason_text"));

	if (o && !put_copies(o, event))
		return o;
	json_decref(o);
	return NULL;
}

/** The names of failures begin with their time, in order. */
static const char *oldest_failure(json_t *failures)
{
	const char *oldest = NULL;
	const char *name;
	json_t *value;

	json_object_foreach(failures, name, value)
	{
		if (!oldest || strcmp(name, oldest) < 0)
			oldest = name;
	}
	return oldest;
}

static int keep_failure(struct recordings *r, struct seen_task *t,
			const char *name, json_t *failure)
{
	if (json_object_get(t->failures, name))
		return 0;
	if (!make_room(r, t))
		return ENOBUFS;
	if (json_object_set(t->failures, name, failure))
		return ENOMEM;
	r->n_parts++;
	if (json_object_size(t->failures) <= FAILURES_MAX)
		return 0;
	json_object_del(t->failures, oldest_failure(t->failures));
	r->n_parts--;
	return 0;
}

static int add_failure(struct recordings *r, struct seen_task *t,
		       const json_t *event)
{
	const char *code = code_of(event);
	json_t *failure;
	struct buf name;
	int err;

	if (!code)
		return 0;
	failure = new_failure(event, code);
	buf_init(&name, FAILURE_NAME_MAX);
	buf_printf(&name, "%020lld ", (long long)time_of(event));
	err = json_text_write_sorted(failure, &name);
	if (!err)
		err = keep_failure(r, t, buf_str(&name), failure);
	buf_fini(&name);
	json_decref(failure);
	return err;
}

/* ---- how many there were ---------------------------------------------------------- */

/** The same for the same event, whenever it was sent. */
static uint64_t hash_of(const json_t *event)
{
	static const char *const texts[] = {"dialect", "kind", "user", "mode",
					    "file"};
	static const char *const numbers[] = {"type", "seq", "event_ms"};
	const json_t *first =
		json_array_get(json_object_get(event, "files"), 0);
	const char *name = recordings_text(first, "name");
	uint64_t hash = map_hash(name, strlen(name));

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *text = recordings_text(event, texts[i]);

		hash = hash * HASH_STEP + map_hash(text, strlen(text));
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		hash = hash * HASH_STEP +
		       (uint64_t)recordings_number(event, numbers[i]);
	return hash;
}

/** Where it is, or would be. */
static size_t place_of(const struct seen_task *t, uint64_t hash)
{
	size_t from = 0, to = t->n_told;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (t->told[mid] < hash)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static int add_told(struct seen_task *t, const json_t *event)
{
	uint64_t hash = hash_of(event);
	size_t at = place_of(t, hash);

	if (at < t->n_told && t->told[at] == hash)
		return 0;
	if (t->n_told == t->told_cap) {
		size_t cap = t->told_cap ? 2 * t->told_cap : 8;
		uint64_t *told = mem_realloc(t->told, cap * sizeof(*told));

		if (!told)
			return ENOMEM;
		t->told = told;
		t->told_cap = cap;
	}
	memmove(t->told + at + 1, t->told + at,
		(t->n_told - at) * sizeof(*t->told));
	t->told[at] = hash;
	t->n_told++;
	return 0;
}

int recordings_add(struct recordings *r, const json_t *event)
{
	const struct segment_kind *kind = segment_kind_of(event);
	struct seen_task *t;
	int err;

	if (is_test(event))
		return 0;
	err = get_task(r, event, &t);
	if (err)
		return err;
	t->running = RUNNING_UNKNOWN;
	add_common(t, event);
	if (kind)
		err = add_segment(r, t, event, kind);
	else
		add_flags(t, event);
	if (!err && is_kind(event, "files_ready"))
		err = add_files(r, t, json_object_get(event, "files"));
	if (!err)
		err = add_failure(r, t, event);
	return err ? err : add_told(t, event);
}
