/**
 * wire/cloud_read.c -- the parameters of an action, checked by its table.
 *
 * DESIGN
 *   - A table a group of parameters: name, shape, where it goes, what is
 *     permitted, the vendor's code for a bad value.  What is not in the
 *     table is UnknownParameter.
 *   - gme names what is missing in the text, trtc in the code as well.
 *   - Users in lists may be numbers, as in the samples of the vendor's
 *     command line; null is: not there.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "wire/cloud.h"
#include "wire/event.h"
#include "wire/usersig.h"

enum { PATH_MAX_LEN = 127, KEY_SHOWN = 60 };

enum shape {
	NUMBER,	   /* int64_t, min..max */
	APP,	   /* uint32_t, from 1 */
	TASK,	   /* uint64_t, a number */
	TASK_TEXT, /* uint64_t, digits in a string */
	TEXT,	   /* const char *, min..max bytes */
	NAME,	   /* const char *, of a room or user */
	USERS,	   /* struct cloud_users, at most max names */
	NUMBERS,   /* the same, of numbers */
	PREFIX,	   /* the same, of words for folders */
	GROUP,	   /* parameters of its own */
	IGNORED,   /* of pictures */
	REFUSED	   /* it would do something that is not there */
};

enum { REQUIRED = 1, LISTS = 2 /* given: has_lists */ };

struct field {
	const char *name; /* NULL: the table ends */
	enum shape shape;
	unsigned flags;
	size_t at; /* in struct cloud_request */
	int64_t min, max;
	const char *code; /* of a bad value */
	const struct field *sub;
};

struct reader {
	struct cloud_request *out;
	struct cloud_error *e;
	bool is_form, is_trtc;
	char path[PATH_MAX_LEN + 1]; /* of the group: "RecordParams." */
};

#define AT(member) offsetof(struct cloud_request, member)

/* ---- the tables ----------------------------------------------------------- */

#define VALUE "InvalidParameterValue"
#define BAD   "InvalidParameter"
#define RANGE BAD ".OutOfRange"

#define BIZ_ID                                                                \
	{                                                                     \
		"BizId", APP, REQUIRED, AT(app), 0, 0, VALUE ".InvalidBizId", \
			NULL                                                  \
	}
#define GME_TASK                                          \
	{                                                 \
		"TaskId", TASK, REQUIRED, AT(task), 0, 0, \
			VALUE ".InvalidTaskId", NULL      \
	}
#define GME_ROOM                                          \
	{                                                 \
		"RoomId", NAME, REQUIRED, AT(room), 0, 0, \
			VALUE ".InvalidRoomId", NULL      \
	}
#define GME_MODE                                                \
	{                                                       \
		"RecordMode", NUMBER, REQUIRED, AT(mode), 1, 3, \
			VALUE ".InvalidRecordMode", NULL        \
	}
#define GME_LISTS                                                         \
	{                                                                 \
		"SubscribeRecordUserIds", GROUP, LISTS, 0, 0, 0,          \
			VALUE ".InvalidSubscribeRecordUserIds", gme_lists \
	}

static const struct field gme_lists[] = {
	{"SubscribeUserIds", USERS, 0, AT(allow), 0, CLOUD_GME_USERS_MAX,
	 VALUE ".InvalidSubscribeUserIds", NULL},
	/* the capitals are the vendor's */
	{"UnSubscribeUserIds", USERS, 0, AT(block), 0, CLOUD_GME_USERS_MAX,
	 VALUE ".InvalidUNSubscribeUserIds", NULL},
	{0},
};
static const struct field start_record[] = {
	BIZ_ID, GME_ROOM, GME_MODE, GME_LISTS, {0},
};
static const struct field modify_record[] = {
	BIZ_ID, GME_TASK, GME_MODE, GME_LISTS, {0},
};
static const struct field a_gme_task[] = {
	BIZ_ID,
	GME_TASK,
	{0},
};
static const struct field a_gme_room[] = {
	BIZ_ID,
	GME_ROOM,
	{0},
};
static const struct field describe_rooms[] = {
	{"SdkAppId", APP, REQUIRED, AT(app), 0, 0, VALUE ".InvalidBizId", NULL},
	{"RoomIds", NUMBERS, 0, AT(rooms), 0, CLOUD_ROOMS_MAX,
	 VALUE ".InvalidRoomId", NULL},
	{"StrRoomIds", USERS, 0, AT(rooms), 0, CLOUD_ROOMS_MAX,
	 VALUE ".InvalidRoomId", NULL},
	{0},
};

#define SDK_APP_ID                                                         \
	{                                                                  \
		"SdkAppId", APP, REQUIRED, AT(app), 0, 0, BAD ".SdkAppId", \
			NULL                                               \
	}
#define TRTC_TASK                                                             \
	{                                                                     \
		"TaskId", TASK_TEXT, REQUIRED, AT(task), 0, 0, BAD ".TaskId", \
			NULL                                                  \
	}
#define TRTC_LISTS                                                    \
	{                                                             \
		"SubscribeStreamUserIds", GROUP, LISTS, 0, 0, 0, BAD, \
			trtc_lists                                    \
	}

static const struct field trtc_lists[] = {
	{"SubscribeAudioUserIds", USERS, 0, AT(allow), 0, CLOUD_USERS_MAX,
	 RANGE, NULL},
	{"UnSubscribeAudioUserIds", USERS, 0, AT(block), 0, CLOUD_USERS_MAX,
	 RANGE, NULL},
	{"SubscribeVideoUserIds", IGNORED, 0, 0, 0, 0, "", NULL},
	{"UnSubscribeVideoUserIds", IGNORED, 0, 0, 0, 0, "", NULL},
	{0},
};
static const struct field record_params[] = {
	{"RecordMode", NUMBER, REQUIRED, AT(mode), 1, 2, RANGE, NULL},
	{"MaxIdleTime", NUMBER, 0, AT(max_idle_s), 5, 86400, RANGE, NULL},
	{"StreamType", NUMBER, 0, AT(stream_type), 0, 2, RANGE, NULL},
	TRTC_LISTS,
	{"OutputFormat", NUMBER, 0, AT(output_format), 0, 4, RANGE, NULL},
	{"MaxMediaFileDuration", NUMBER, 0, AT(max_minutes), 1, 1440, RANGE,
	 NULL},
	{"AvMerge", IGNORED, 0, 0, 0, 0, "", NULL},
	{"MediaId", IGNORED, 0, 0, 0, 0, "", NULL},
	{"FillType", IGNORED, 0, 0, 0, 0, "", NULL},
	{"SubscribeAbility", IGNORED, 0, 0, 0, 0, "", NULL},
	{0},
};
static const struct field cloud_storage[] = {
	{"Vendor", NUMBER, REQUIRED, AT(storage.vendor), 0, 100, RANGE, NULL},
	{"Region", TEXT, REQUIRED, AT(storage.region), 0, 64, RANGE, NULL},
	{"Bucket", TEXT, REQUIRED, AT(storage.bucket), 1, 255, RANGE, NULL},
	{"AccessKey", TEXT, REQUIRED, AT(storage.access_key), 1, 256, RANGE,
	 NULL},
	{"SecretKey", TEXT, REQUIRED, AT(storage.secret_key), 1, 256, RANGE,
	 NULL},
	{"EndpointUrl", TEXT, 0, AT(storage.endpoint_url), 0, 2083, RANGE,
	 NULL},
	{"FileNamePrefix", PREFIX, 0, AT(storage.prefix), 0, CLOUD_USERS_MAX,
	 RANGE, NULL},
	{0},
};
static const struct field storage_params[] = {
	{"CloudVod", REFUSED, 0, 0, 0, 0, "", NULL},
	{"CloudStorage", GROUP, REQUIRED, 0, 0, 0, BAD, cloud_storage},
	{0},
};
static const struct field create_recording[] = {
	SDK_APP_ID,
	{"RoomId", NAME, REQUIRED, AT(room), 0, 0, BAD ".RoomId", NULL},
	{"UserId", NAME, REQUIRED, AT(user), 0, 0, BAD ".UserId", NULL},
	{"UserSig", TEXT, REQUIRED, AT(user_sig), 1, USERSIG_TEXT_MAX,
	 BAD ".UserSig", NULL},
	{"RecordParams", GROUP, REQUIRED, 0, 0, 0, BAD, record_params},
	{"StorageParams", GROUP, REQUIRED, 0, 0, 0, BAD, storage_params},
	{"RoomIdType", NUMBER, 0, AT(room_id_type), 0, 1, RANGE, NULL},
	{"ResourceExpiredHour", NUMBER, 0, AT(expire_hours), 6, 720, RANGE,
	 NULL},
	{"MixTranscodeParams", IGNORED, 0, 0, 0, 0, "", NULL},
	{"MixLayoutParams", IGNORED, 0, 0, 0, 0, "", NULL},
	{"PrivateMapKey", IGNORED, 0, 0, 0, 0, "", NULL},
	{0},
};
static const struct field a_trtc_task[] = {
	SDK_APP_ID,
	TRTC_TASK,
	{"RecorderKey", IGNORED, 0, 0, 0, 0, "", NULL},
	{0},
};
static const struct field modify_recording[] = {
	SDK_APP_ID, TRTC_TASK,
	TRTC_LISTS, {"MixLayoutParams", IGNORED, 0, 0, 0, 0, "", NULL},
	{0},
};

static const struct field *const tables[CLOUD_ACTION_N] = {
	[CLOUD_START_RECORD] = start_record,
	[CLOUD_STOP_RECORD] = a_gme_task,
	[CLOUD_MODIFY_RECORD_INFO] = modify_record,
	[CLOUD_DESCRIBE_RECORD_INFO] = a_gme_task,
	[CLOUD_DESCRIBE_TASK_INFO] = a_gme_room,
	[CLOUD_DESCRIBE_ROOM_INFO] = describe_rooms,
	[CLOUD_CREATE_RECORDING] = create_recording,
	[CLOUD_DESCRIBE_RECORDING] = a_trtc_task,
	[CLOUD_MODIFY_RECORDING] = modify_recording,
	[CLOUD_DELETE_RECORDING] = a_trtc_task,
};

/* ---- refusing ------------------------------------------------------------- */

static bool is_missing(const struct reader *r, const struct field *f)
{
	char code[CLOUD_CODE_MAX];

	snprintf(code, sizeof(code), "MissingParameter%s%s",
		 r->is_trtc ? "." : "", r->is_trtc ? f->name : "");
	return cloud_refuse(r->e, code, "%s%s is missing.", r->path, f->name);
}

/** It is of another type. */
static bool is_no(const struct reader *r, const struct field *f,
		  const char *what)
{
	return cloud_refuse(r->e, BAD, "%s%s must be %s.", r->path, f->name,
			    what);
}

static bool is_bad(const struct reader *r, const struct field *f,
		   const char *what)
{
	return cloud_refuse(r->e, f->code, "%s%s must be %s.", r->path, f->name,
			    what);
}

/* ---- one value ------------------------------------------------------------ */

static void *place(const struct reader *r, const struct field *f)
{
	return (char *)r->out + f->at;
}

/** A string without NUL, or NULL. */
static const char *string_of(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/** A whole number; in a form it is a string.  Where one number of a body is too
 *  long for an integer, all of it are reals. */
static bool number_of(const struct reader *r, const json_t *value, int64_t *n)
{
	static const double limit = 9223372036854775808.0; /* 2^63 */
	const char *text = r->is_form ? string_of(value) : NULL;
	const double real = json_real_value(value);

	*n = json_integer_value(value);
	if (text)
		return !str_to_i64(text, INT64_MIN, INT64_MAX, n);
	if (!json_is_real(value))
		return json_is_integer(value);
	if (!(real >= -limit && real < limit))
		return false;
	*n = (int64_t)real;
	return (double)*n == real;
}

/** Reads an integer in min..max, or refuses. */
static bool read_range(const struct reader *r, const struct field *f,
		       const json_t *value, int64_t min, int64_t max,
		       int64_t *n)
{
	char what[96];

	snprintf(what, sizeof(what),
		 "a whole number from %" PRId64 " to %" PRId64, min, max);
	if (!number_of(r, value, n))
		return json_is_real(value) ? is_bad(r, f, what)
					   : is_no(r, f, what);
	return *n >= min && *n <= max ? true : is_bad(r, f, what);
}

static bool read_task_text(const struct reader *r, const struct field *f,
			   const json_t *value, uint64_t *id)
{
	const char *text = string_of(value);

	if (!text)
		return is_no(r, f, "a string");
	if (str_to_u64(text, id) || !*id || *id > INT64_MAX)
		return is_bad(r, f, "as CreateCloudRecording has given it");
	return true;
}

static bool read_text(const struct reader *r, const struct field *f,
		      const json_t *value, const char **out)
{
	const char *text = string_of(value);
	const int64_t len = (int64_t)json_string_length(value);
	char what[64];

	snprintf(what, sizeof(what),
		 "a string of %" PRId64 " to %" PRId64 " bytes", f->min,
		 f->max);
	if (!text)
		return is_no(r, f, what);
	*out = text;
	return len >= f->min && len <= f->max ? true : is_bad(r, f, what);
}

static bool read_name(const struct reader *r, const struct field *f,
		      const json_t *value, const char **out)
{
	const char *text = string_of(value);
	struct err why = {0};

	if (!text)
		return is_no(r, f, "a string");
	*out = text;
	if (event_id_check(text, f->name, &why))
		return cloud_refuse(r->e, f->code, "%s%s.", r->path, why.text);
	return true;
}

/* ---- lists ---------------------------------------------------------------- */

static json_t *item_of(json_t *list, size_t i)
{
	char key[24];

	if (json_is_array(list))
		return json_array_get(list, i);
	snprintf(key, sizeof(key), "%zu", i);
	return json_object_get(list, key);
}

/** The string of an item; a number is made one, in its place. */
static const char *string_of_item(json_t *list, size_t i)
{
	json_t *item = item_of(list, i);

	if (json_is_integer(item) && json_is_array(list)) {
		json_t *text = json_sprintf("%" JSON_INTEGER_FORMAT,
					    json_integer_value(item));

		if (json_array_set_new(list, i, text))
			return NULL;
		item = text;
	}
	return string_of(item);
}

static bool is_digits(const char *text)
{
	return *text && strlen(text) <= 19 && !text[strspn(text, "0123456789")];
}

/** 1 to 64 of [A-Za-z0-9_-] */
static bool is_word(const char *text)
{
	return *text && strlen(text) <= 64 &&
	       !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789_-")];
}

static bool item_is_good(const struct field *f, const char *id)
{
	struct err why = {0};

	switch (f->shape) {
	case NUMBERS:
		return is_digits(id);
	case PREFIX:
		return is_word(id);
	default:
		return !event_id_check(id, f->name, &why);
	}
}

static void add_once(struct cloud_users *users, const char *id)
{
	for (size_t i = 0; i < users->n; i++) {
		if (!strcmp(users->ids[i], id))
			return;
	}
	users->ids[users->n++] = id;
}

static bool read_list(const struct reader *r, const struct field *f,
		      json_t *list, struct cloud_users *users)
{
	const bool is_list =
		json_is_array(list) || (r->is_form && json_is_object(list));
	const size_t n = json_is_array(list) ? json_array_size(list)
					     : json_object_size(list);
	char what[96];

	snprintf(what, sizeof(what), "a list of at most %" PRId64 " %s", f->max,
		 f->shape == NUMBERS  ? "numbers"
		 : f->shape == PREFIX ? "words of letters, digits, _ and -"
				      : "ids");
	if (!is_list)
		return is_no(r, f, what);
	if ((int64_t)n > f->max)
		return is_bad(r, f, what);
	for (size_t i = 0; i < n; i++) {
		const char *id = string_of_item(list, i);

		if (!id)
			return is_no(r, f, what);
		if (!item_is_good(f, id))
			return cloud_refuse(
				r->e, f->code, "%s%s.%zu must be %s.", r->path,
				f->name, i,
				f->shape == NUMBERS  ? "a number"
				: f->shape == PREFIX ? "1 to 64 letters, "
						       "digits, _ and -"
						     : "1 to 128 bytes, UTF-8 "
						       "without control "
						       "characters, / and \\");
		if (f->shape == PREFIX)
			users->ids[users->n++] = id;
		else
			add_once(users, id);
	}
	return true;
}

/* ---- groups --------------------------------------------------------------- */

static bool read_group(struct reader *r, const struct field *table,
		       json_t *group);

static bool read_sub(struct reader *r, const struct field *f, json_t *value)
{
	const size_t len = strlen(r->path);
	bool ok;

	if (!json_is_object(value))
		return is_no(r, f, "an object");
	snprintf(r->path + len, sizeof(r->path) - len, "%s.", f->name);
	ok = read_group(r, f->sub, value);
	r->path[len] = 0;
	return ok;
}

static bool read_value(struct reader *r, const struct field *f, json_t *value)
{
	int64_t n;

	switch (f->shape) {
	case NUMBER:
		return read_range(r, f, value, f->min, f->max, place(r, f));
	case APP:
		if (!read_range(r, f, value, 1, UINT32_MAX, &n))
			return false;
		*(uint32_t *)place(r, f) = (uint32_t)n;
		return true;
	case TASK:
		if (!read_range(r, f, value, 1, INT64_MAX, &n))
			return false;
		*(uint64_t *)place(r, f) = event_task_id_meant((uint64_t)n);
		return true;
	case TASK_TEXT:
		return read_task_text(r, f, value, place(r, f));
	case TEXT:
		return read_text(r, f, value, place(r, f));
	case NAME:
		return read_name(r, f, value, place(r, f));
	case USERS:
	case NUMBERS:
	case PREFIX:
		return read_list(r, f, value, place(r, f));
	case GROUP:
		return read_sub(r, f, value);
	case REFUSED:
		return cloud_refuse(r->e, "UnsupportedOperation",
				    "%s%s is not there: use CloudStorage.",
				    r->path, f->name);
	case IGNORED:
		break;
	}
	return true;
}

static const struct field *find_field(const struct field *table,
				      const char *name)
{
	for (; table->name; table++) {
		if (!strcmp(table->name, name))
			return table;
	}
	return NULL;
}

static bool read_group(struct reader *r, const struct field *table,
		       json_t *group)
{
	const char *key;
	json_t *value;

	json_object_foreach(group, key, value)
	{
		if (!find_field(table, key))
			return cloud_refuse(r->e, "UnknownParameter",
					    "%s%.*s is no parameter of this "
					    "action.",
					    r->path, KEY_SHOWN,
					    *key ? key : "\"\"");
	}
	for (; table->name; table++) {
		value = json_object_get(group, table->name);
		if (!value || json_is_null(value)) {
			if (table->flags & REQUIRED)
				return is_missing(r, table);
			continue;
		}
		if (table->flags & LISTS)
			r->out->has_lists = true;
		if (!read_value(r, table, value))
			return false;
	}
	return true;
}

/* ---- what looks at more than one ------------------------------------------- */

static bool check_lists(const struct cloud_request *q, struct cloud_error *e)
{
	const bool is_trtc = cloud_action_is_trtc(q->action);

	if (!q->allow.n || !q->block.n)
		return true;
	if (is_trtc)
		return cloud_refuse(e, BAD,
				    "SubscribeAudioUserIds and "
				    "UnSubscribeAudioUserIds: only one of the "
				    "two may be given.");
	return cloud_refuse(e, VALUE ".InvalidSubscribeRecordUserIds",
			    "SubscribeUserIds and UnSubscribeUserIds: only one "
			    "of the two may be given.");
}

static bool check_rooms(const struct cloud_request *q, struct cloud_error *e)
{
	if (q->action != CLOUD_DESCRIBE_ROOM_INFO)
		return true;
	if (q->rooms.n > CLOUD_ROOMS_MAX)
		return cloud_refuse(e, VALUE ".InvalidRoomId",
				    "RoomIds and StrRoomIds: at most %d in "
				    "all.",
				    CLOUD_ROOMS_MAX);
	if (!q->rooms.n)
		return cloud_refuse(e, "MissingParameter",
				    "RoomIds or StrRoomIds: one of the two is "
				    "required.");
	return true;
}

/** Source: "RoomIdType: 0 string, 1 32-bit integer (default)". */
static bool check_room_type(const struct cloud_request *q,
			    struct cloud_error *e)
{
	int64_t n;

	if (q->action != CLOUD_CREATE_RECORDING || !q->room_id_type ||
	    !str_to_i64(q->room, 1, UINT32_MAX - 1, &n))
		return true;
	return cloud_refuse(e, BAD ".RoomId",
			    "RoomId must be a number from 1 to %" PRIu32
			    ", or RoomIdType 0.",
			    UINT32_MAX - 1);
}

bool cloud_read(enum cloud_action action, json_t *root, bool is_form,
		struct cloud_request *out, struct cloud_error *e)
{
	struct reader r = {
		.out = out,
		.e = e,
		.is_form = is_form,
		.is_trtc = cloud_action_is_trtc(action),
	};

	*out = (struct cloud_request){
		.action = action,
		/* the vendor's defaults */
		.output_format = -1,
		.max_idle_s = 30,
		.max_minutes = 1440,
		.expire_hours = 72,
		.room_id_type = 1,
	};
	if (!json_is_object(root))
		return cloud_refuse(e, BAD, "The body must be a JSON object.");
	return read_group(&r, tables[action], root) && check_lists(out, e) &&
	       check_rooms(out, e) && check_room_type(out, e);
}
