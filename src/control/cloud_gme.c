/** control/cloud_gme.c -- the actions of gme 2018-07-11. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "control/cloud.h"

enum {
	/* RecordStatus */
	RECORDING = 2,
	UPLOADING = 12,
	UPLOADED = 13,
	NOTIFIED = 14,
	ROWS_MAX = 1000
};

/* The API counts from 1. */
static_assert(MODE_SINGLE == 0 && MODE_MIXED == 1 && MODE_BOTH == 2,
	      "RecordMode");

/* ---- errors ------------------------------------------------------------------ */

static const char *code_of_start(const struct err *e)
{
	switch (e->code) {
	case ENOENT:
		return strcmp(e->field, "app") != 0
			       ? "ResourceNotFound.RoomNotFound"
			       : "InvalidParameterValue.InvalidBizId";
	case EEXIST:
	case EBUSY:
		return "ResourceInUse.TaskInUse";
	case EPERM:
		return "UnsupportedOperation.ServiceNotOpened";
	case EINVAL:
		return "InvalidParameter";
	default:
		return NULL;
	}
}

static const char *code_of_task(const struct err *e)
{
	switch (e->code) {
	case ENOENT:
	case EALREADY:
		return "ResourceNotFound.TaskNotFound";
	case EINVAL:
		return "InvalidParameter";
	default:
		return NULL;
	}
}

/** code NULL: nothing that the caller can help. */
static void fail(struct call *c, const char *code, const struct err *e)
{
	if (code)
		cloud_error(c, code, "%s.", e->text);
	else
		cloud_internal(c, e);
}

static void no_task(struct call *c)
{
	cloud_error(c, "ResourceNotFound.TaskNotFound",
		    "TaskId: there is no task %" PRIu64 ".", c->cloud->q.task);
}

/** The task, if it is not over and of this app; answers otherwise. */
static bool find_task(struct call *c, struct task_info *out)
{
	const struct cloud_request *q = &c->cloud->q;

	if (rooms_task_info(c->control->rooms, q->task, out) &&
	    out->app == q->app)
		return true;
	cloud_error(c, "ResourceNotFound.TaskNotFound",
		    "TaskId: there is no task %" PRIu64 ", or it has ended.",
		    q->task);
	return false;
}

/* ---- start, stop, change -------------------------------------------------------- */

static void on_started(const struct err *e, const struct task_info *t,
		       void *arg)
{
	struct call *c = arg;

	if (e->code) {
		fail(c, code_of_start(e), e);
		return;
	}
	c->cloud->task = t->id;
	cloud_reply(c, json_pack("{s:I}", "TaskId", (json_int_t)t->id));
}

void cloud_start_record(struct call *c)
{
	const struct cloud_request *q = &c->cloud->q;
	struct task_wish wish = {
		.app = q->app,
		.room = q->room,
		.mode = (enum record_mode)(q->mode - 1),
		.format = -1,
		.max_idle_ms = -1,
		.hold_empty_ms = -1,
		.only_one = true,
		.client_ip = c->client_ip,
		.platform = "RESTAPI",
	};

	cloud_lists(q, &wish.subscribe);
	rooms_task_start(c->control->rooms, &wish, on_started, c);
}

static void on_done(const struct err *e, const struct task_info *t, void *arg)
{
	(void)t;
	if (e->code)
		fail(arg, code_of_task(e), e);
	else
		cloud_reply(arg, json_object());
}

void cloud_stop_record(struct call *c)
{
	const struct caller who = {c->client_ip, "RESTAPI"};
	struct task_info t;

	if (find_task(c, &t))
		rooms_task_stop(c->control->rooms, t.id, &who, on_done, c);
}

void cloud_modify_record_info(struct call *c)
{
	const struct cloud_request *q = &c->cloud->q;
	struct task_change change = {
		.has_mode = true,
		.mode = (enum record_mode)(q->mode - 1),
		.has_lists = q->has_lists,
		.who = {c->client_ip, "RESTAPI"},
	};
	struct task_info t;

	if (!find_task(c, &t))
		return;
	cloud_lists(q, &change.subscribe);
	rooms_task_change(c->control->rooms, t.id, &change, on_done, c);
}

/* ---- DescribeTaskInfo, DescribeRoomInfo --------------------------------------------- */

static json_t *users_json(const struct subscription *s, bool allow)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n && s->allow == allow; i++)
		json_array_append_new(list, json_string(s->users[i]));
	return list;
}

/** The oldest that runs; false: none does. */
static bool find_running(struct call *c, const struct room_info *room,
			 struct task_info *out)
{
	for (size_t i = 0; i < room->n_tasks; i++) {
		if (rooms_task_info(c->control->rooms, room->tasks[i], out) &&
		    out->state == TASK_RUNNING)
			return true;
	}
	return false;
}

void cloud_describe_task_info(struct call *c)
{
	const struct cloud_request *q = &c->cloud->q;
	struct room_info room;
	struct task_info t;

	if (!rooms_room_info(c->control->rooms, q->app, q->room, &room)) {
		cloud_error(c, "ResourceNotFound.RoomNotFound",
			    "RoomId: there is no room %.128s.", q->room);
		return;
	}
	if (!find_running(c, &room, &t)) {
		cloud_reply(c,
			    json_pack("{s:n, s:n, s:n}", "TaskId", "RecordMode",
				      "SubscribeRecordUserIds"));
		return;
	}
	c->cloud->task = t.id;
	cloud_reply(c,
		    json_pack("{s:I, s:i, s:{s:o, s:o}}", "TaskId",
			      (json_int_t)t.id, "RecordMode", (int)t.mode + 1,
			      "SubscribeRecordUserIds", "UnSubscribeUserIds",
			      users_json(&t.subscribe, false),
			      "SubscribeUserIds",
			      users_json(&t.subscribe, true)));
}

/** A room or user whose id is a number is told as one, too. */
static bool number_of(const char *id, int64_t *n)
{
	return id[0] != '-' && !str_to_i64(id, 0, INT64_MAX, n) &&
	       (id[0] != '0' || !id[1]);
}

struct users {
	json_t *numbers, *texts;
};

static int add_user(const struct input_info *in, void *arg)
{
	const struct users *users = arg;
	int64_t n;

	if (number_of(in->user, &n))
		json_array_append_new(users->numbers, json_integer(n));
	json_array_append_new(users->texts, json_string(in->user));
	return 0;
}

static json_t *room_users_json(struct call *c, const char *room)
{
	struct users users = {json_array(), json_array()};
	int64_t n = 0;

	rooms_each_input(c->control->rooms, c->cloud->q.app, room, add_user,
			 &users);
	if (!number_of(room, &n))
		n = 0;
	return json_pack("{s:I, s:o, s:s, s:o}", "RoomId", (json_int_t)n,
			 "Uins", users.numbers, "StrRoomId", room, "StrUins",
			 users.texts);
}

void cloud_describe_room_info(struct call *c)
{
	const struct cloud_request *q = &c->cloud->q;
	json_t *list = json_array();
	struct room_info room;

	for (size_t i = 0; i < q->rooms.n; i++) {
		if (rooms_room_info(c->control->rooms, q->app, q->rooms.ids[i],
				    &room) &&
		    room.inputs)
			json_array_append_new(
				list, room_users_json(c, q->rooms.ids[i]));
	}
	cloud_reply(c, json_pack("{s:i, s:o}", "Result", 0, "RoomUsers", list));
}

/* ---- DescribeRecordInfo ------------------------------------------------------------- */

/*
 * The task, its segments, the events that these were uploaded, and their
 * deliveries: asked one after another, the last two only when something was
 * uploaded.
 */

static void reply_info(struct call *c)
{
	struct cloud *x = c->cloud;
	json_t *info;
	size_t i;

	json_array_foreach(x->infos, i, info)
	{
		struct cloud_file *f = &x->files[i];

		if (f->status == UPLOADED && f->told && !f->waiting)
			f->status = NOTIFIED;
		json_object_set_new(info, "RecordStatus",
				    json_integer(f->status));
	}
	json_object_set(c->answer, "RecordInfo", x->infos);
	info = c->answer;
	c->answer = NULL;
	cloud_reply(c, info);
}

static void on_deliveries(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	struct cloud *x = c->cloud;
	bool more;

	if (call_rows_are_bad(c, rows))
		return;
	for (size_t i = 0; i < rows->n; i++) {
		const struct delivery_row *d = &rows->deliveries[i];

		for (size_t k = 0; k < x->n_files; k++) {
			if (x->files[k].event != d->event)
				continue;
			x->files[k].told += d->state == DELIVERY_DELIVERED;
			x->files[k].waiting += d->state != DELIVERY_DELIVERED;
		}
		c->filter.after = d->id;
	}
	more = rows->more;
	store_rows_free(rows);
	if (more)
		call_ask(c, on_deliveries);
	else
		reply_info(c);
}

static void note_event(struct cloud *x, const struct event_row *row)
{
	struct event e;

	if (event_parse_json(row->facts, row->facts_len, &e))
		return;
	for (size_t i = 0; i < x->n_files; i++) {
		struct cloud_file *f = &x->files[i];

		if (f->seq == e.seq && f->mode == e.mode &&
		    !strcmp(f->user, e.user))
			f->event = row->id;
	}
	event_fini(&e);
}

static void on_events(struct store_rows *rows, void *arg)
{
	struct call *c = arg;

	if (call_rows_are_bad(c, rows))
		return;
	for (size_t i = 0; i < rows->n; i++)
		note_event(c->cloud, &rows->events[i]);
	store_rows_free(rows);
	c->filter = (struct store_filter){.what = READ_DELIVERIES,
					  .task = c->cloud->q.task,
					  .state = -1,
					  .limit = ROWS_MAX};
	call_ask(c, on_deliveries);
}

/** false: it has no file, or will have none soon. */
static bool add_segment(struct cloud *x, const struct segment_row *s)
{
	struct cloud_file *f = &x->files[x->n_files];

	if (s->state == SEG_LOST || s->state == SEG_ERASING ||
	    json_array_append_new(x->infos,
				  json_pack("{s:s, s:s, s:I}", "UserId",
					    s->user, "FileName", s->file_name,
					    "RecordBeginTime",
					    (json_int_t)(s->start_ms / 1000))))
		return false;
	*f = (struct cloud_file){.mode = s->mode, .seq = s->seq};
	str_copy(f->user, sizeof(f->user), s->user);
	f->status = s->state != SEG_CLOSED ? RECORDING
		    : s->uploaded_ms	   ? UPLOADED
					   : UPLOADING;
	x->n_files++;
	return f->status == UPLOADED;
}

static void on_segments(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	struct cloud *x = c->cloud;
	const struct err no_memory = {.code = ENOMEM};
	bool uploaded = false;

	if (call_rows_are_bad(c, rows))
		return;
	x->infos = json_array();
	x->files = mem_zalloc_n(rows->n + 1, sizeof(*x->files));
	for (size_t i = 0; i < rows->n && x->files; i++)
		uploaded |= add_segment(x, &rows->segments[i]);
	store_rows_free(rows);
	if (!x->infos || !x->files) {
		cloud_internal(c, &no_memory);
		return;
	}
	if (!uploaded) {
		reply_info(c);
		return;
	}
	c->filter = (struct store_filter){.what = READ_EVENTS,
					  .task = x->q.task,
					  .state = -1,
					  .kinds = 1U << EVENT_UPLOADED,
					  .limit = ROWS_MAX};
	call_ask(c, on_events);
}

static void on_task(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	struct cloud *x = c->cloud;
	bool found;

	if (call_rows_are_bad(c, rows))
		return;
	found = rows->n && rows->tasks[0].app == x->q.app;
	if (found)
		c->answer =
			json_pack("{s:n, s:i, s:s}", "RecordInfo", "RecordMode",
				  (int)rows->tasks[0].mode + 1, "RoomId",
				  rows->tasks[0].room);
	store_rows_free(rows);
	if (!found) {
		no_task(c);
		return;
	}
	c->filter = (struct store_filter){.what = READ_SEGMENTS,
					  .task = x->q.task,
					  .state = -1,
					  .limit = ROWS_MAX};
	call_ask(c, on_segments);
}

void cloud_describe_record_info(struct call *c)
{
	c->filter = (struct store_filter){.what = READ_TASKS,
					  .id = c->cloud->q.task,
					  .state = -1,
					  .limit = 1};
	call_ask(c, on_task);
}
