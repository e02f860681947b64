/** control/cloud_trtc.c -- the actions of trtc 2019-07-22, for sound. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "control/cloud.h"

enum { ROWS_MAX = 1000 };

/* ---- errors ------------------------------------------------------------------ */

static void fail(struct call *c, const struct err *e)
{
	const char *code = NULL;

	switch (e->code) {
	case ENOENT:
	case EALREADY:
		code = "ResourceNotFound";
		break;
	case EEXIST:
		code = "FailedOperation";
		break;
	case EBUSY:
		code = "FailedOperation.RestrictedConcurrency";
		break;
	case EPERM:
		code = "UnsupportedOperation";
		break;
	case EINVAL:
		code = "InvalidParameter";
		break;
	default:
		cloud_internal(c, e);
		return;
	}
	cloud_error(c, code, "%s.", e->text);
}

static void on_done(const struct err *e, const struct task_info *t, void *arg)
{
	struct call *c = arg;

	if (e->code) {
		fail(c, e);
		return;
	}
	c->cloud->task = t->id;
	cloud_reply(c, json_pack("{s:o}", "TaskId", call_id(t->id)));
}

/** The task, if it is not over, of this app, and its id is still good;
 *  answers otherwise. */
static bool find_task(struct call *c, struct task_info *out)
{
	const struct cloud_request *q = &c->cloud->q;

	if (!rooms_task_info(c->control->rooms, q->task, out) ||
	    out->app != q->app)
		cloud_error(c, "ResourceNotFound",
			    "TaskId: there is no task %" PRIu64
			    ", or it has ended.",
			    q->task);
	else if (out->expires_ms && out->expires_ms <= clock_unix_ms())
		cloud_error(c, "ResourceNotFound",
			    "TaskId: the ResourceExpiredHour of task %" PRIu64
			    " are over; it goes on until it ends by itself.",
			    q->task);
	else
		return true;
	return false;
}

/* ---- CreateCloudRecording -------------------------------------------------------- */

static bool check_shape(const struct cloud_request *q, struct cloud_error *e)
{
	if (q->stream_type != 1)
		return cloud_refuse(e, "UnsupportedOperation",
				    "RecordParams.StreamType must be 1: sound "
				    "only.");
	if (q->output_format > 0)
		return cloud_refuse(e, "UnsupportedOperation",
				    "RecordParams.OutputFormat must be 0 or "
				    "left out: files are MP3.");
	return true;
}

static bool check_ticket(const struct cloud_request *q,
			 const struct cloud_key *key, struct cloud_error *e)
{
	enum usersig_fault fault;
	struct err why = {0};

	if (!key->app_key)
		return cloud_refuse(e, "AuthFailure.UnauthorizedOperation",
				    "UserSig cannot be checked: the app has no "
				    "secret_key in the configuration.");
	fault = auth_check_ticket(key->app_key, key->previous_app_key, q->app,
				  q->user, q->user_sig, &why);
	if (!fault)
		return true;
	if (fault == USERSIG_NO_MEMORY)
		return cloud_refuse(e, "InternalError", "Out of memory.");
	return cloud_refuse(e, "InvalidParameter.UserSig", "UserSig: %s.",
			    why.text);
}

static int is_user(const struct input_info *in, void *arg)
{
	return !strcmp(in->user, arg) ? EEXIST : 0;
}

/** The recorder is a guest of the room: two of one name cannot be in it. */
static bool check_name(struct call *c, struct cloud_error *e)
{
	const struct cloud_request *q = &c->cloud->q;
	char name[ID_MAX + 1];

	memcpy(name, q->user, strlen(q->user) + 1);
	if (!rooms_each_input(c->control->rooms, q->app, q->room, is_user,
			      name))
		return true;
	return cloud_refuse(e, "InvalidParameter.UserId",
			    "UserId must be unique in the room: somebody of "
			    "that name is in it.");
}

void cloud_create_recording(struct call *c, const struct cloud_key *key)
{
	const struct cloud_request *q = &c->cloud->q;
	struct task_wish wish = {
		.app = q->app,
		.room = q->room,
		.mode = (enum record_mode)(q->mode - 1),
		.format = FORMAT_MP3,
		.max_idle_ms = 0,
		/* "no anchor in the room for so long" */
		.hold_empty_ms = q->max_idle_s * 1000,
		.segment_ms = q->max_minutes * 60 * 1000,
		.expires_ms = clock_unix_ms() + q->expire_hours * 3600 * 1000,
		.recorder = q->user,
		.may_be_empty = true,
		.client_ip = c->client_ip,
		.platform = "RESTAPI",
	};
	struct cloud_place place;
	struct cloud_error e;

	if (!check_shape(q, &e) || !check_ticket(q, key, &e) ||
	    !cloud_storage_find(c->control->rooms, q, &place, &wish.storage,
				&e) ||
	    !check_name(c, &e)) {
		cloud_fail(c, &e);
		return;
	}
	cloud_lists(q, &wish.subscribe);
	rooms_task_start(c->control->rooms, &wish, on_done, c);
}

/* ---- Describe, Modify, Delete ------------------------------------------------------ */

static const char *status_of(const struct task_info *t)
{
	if (t->state != TASK_RUNNING)
		return "Exited";
	return t->segments_open ? "InProgress" : "Idle";
}

static void on_segments(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	json_t *list = c->answer ? json_object_get(c->answer, "StorageFileList")
				 : NULL;
	json_t *answer;

	if (call_rows_are_bad(c, rows))
		return;
	for (size_t i = 0; i < rows->n; i++) {
		const struct segment_row *s = &rows->segments[i];

		if (s->state == SEG_LOST || s->state == SEG_ERASING)
			continue;
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:I}", "UserId",
					s->mode == MODE_MIXED ? "" : s->user,
					"FileName", s->file_name, "TrackType",
					"audio", "BeginTimeStamp",
					(json_int_t)s->start_ms));
	}
	store_rows_free(rows);
	answer = c->answer;
	c->answer = NULL;
	cloud_reply(c, answer);
}

void cloud_describe_recording(struct call *c)
{
	struct task_info t;

	if (!find_task(c, &t))
		return;
	c->answer = json_pack("{s:o, s:s, s:[]}", "TaskId", call_id(t.id),
			      "Status", status_of(&t), "StorageFileList");
	c->filter = (struct store_filter){.what = READ_SEGMENTS,
					  .task = t.id,
					  .state = -1,
					  .limit = ROWS_MAX};
	call_ask(c, on_segments);
}

void cloud_modify_recording(struct call *c)
{
	const struct cloud_request *q = &c->cloud->q;
	struct task_change change = {.has_lists = q->has_lists,
				     .who = {c->client_ip, "RESTAPI"}};
	struct task_info t;

	if (!find_task(c, &t))
		return;
	cloud_lists(q, &change.subscribe);
	rooms_task_change(c->control->rooms, t.id, &change, on_done, c);
}

void cloud_delete_recording(struct call *c)
{
	const struct caller who = {c->client_ip, "RESTAPI"};
	struct task_info t;

	if (find_task(c, &t))
		rooms_task_stop(c->control->rooms, t.id, &who, on_done, c);
}
