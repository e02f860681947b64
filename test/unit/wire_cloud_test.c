/** test/unit/wire_cloud_test.c -- what is asked of the Cloud API: names, forms,
 *  and every table of parameters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cloud.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oom.h"
#include "wire/event.h"

/* ---- aid --------------------------------------------------------------------- */

static struct cloud_request q;
static struct cloud_error e;
static json_t *root; /* of the last read */

static void forget(void)
{
	json_decref(root);
	root = NULL;
}

/** Read JSON written with ' for ". */
static bool read_json(enum cloud_action a, const char *text)
{
	char *copy = mem_strdup(text);
	json_error_t why;
	bool ok;

	assert_non_null(copy);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	forget();
	root = json_loads(copy, JSON_ALLOW_NUL, &why);
	if (!root)
		fail_msg("%s: %s", why.text, copy);
	mem_free(copy);
	memset(&e, 0, sizeof(e));
	ok = cloud_read(a, root, false, &q, &e);
	assert_int_equal(ok, !e.code[0]);
	return ok;
}

#define assert_refused(action, json, want)                                \
	do {                                                              \
		if (read_json(action, json) || strcmp(e.code, want) != 0) \
			fail_msg("%s: %s %s", json, e.code, e.text);      \
	} while (0)

/** "a=1&b=2" -> a tree. */
static int put_all(const char *text)
{
	char name[128], value[128];
	int err = 0, len = 0;

	forget();
	root = json_object();
	while (!err && *text &&
	       sscanf(text, "%127[^=]=%127[^&]%n", name, value, &len) == 2) {
		err = cloud_form_put(root, name, value);
		text += len + (text[len] == '&');
	}
	return err;
}

static bool read_form(enum cloud_action a, const char *text)
{
	assert_int_equal(put_all(text), 0);
	memset(&e, 0, sizeof(e));
	return cloud_read(a, root, true, &q, &e);
}

/* ---- names -------------------------------------------------------------------- */

static void each_action_is_found_in_its_version_only(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CLOUD_ACTION_N; i++) {
		const enum cloud_action a = (enum cloud_action)i;
		const char *name = cloud_action_name(a);
		const bool is_trtc = cloud_action_is_trtc(a);
		enum cloud_action found = CLOUD_ACTION_N;

		assert_true(cloud_action_parse(name, &found));
		assert_int_equal(found, a);
		found = CLOUD_ACTION_N;
		assert_true(cloud_find(is_trtc ? "2019-07-22" : "2018-07-11",
				       name, &found, &e));
		assert_int_equal(found, a);
		assert_false(cloud_find(is_trtc ? "2018-07-11" : "2019-07-22",
					name, &found, &e));
		assert_string_equal(e.code, "InvalidAction");
		assert_false(cloud_find("2018-07-12", name, &found, &e));
		assert_string_equal(e.code, "NoSuchVersion");
		assert_false(cloud_find(NULL, name, &found, &e));
		assert_string_equal(e.code, "MissingParameter");
	}
	assert_int_equal(
		strncmp(cloud_action_name(CLOUD_CREATE_RECORDING), "Create", 6),
		0);
}

static void a_task_id_that_went_through_a_double_is_known_again(void **state)
{
	(void)state;
	/* JavaScript: JSON.stringify(JSON.parse("57124535869636608")) */
	assert_int_equal(event_task_id_meant(57124535869636610),
			 57124535869636608);
	assert_int_equal(event_task_id_meant(57124535869636608),
			 57124535869636608);
	/* what is no id of ours is left alone */
	assert_int_equal(event_task_id_meant(7), 7);
	assert_int_equal(event_task_id_meant(INT64_MAX), INT64_MAX);
	assert_int_equal(event_task_id_meant(0), 0);
	/* and every id is its own, up to 2089 */
	for (int64_t ms = 1600000000000; ms < 3755000000000; ms += 1234567891) {
		uint64_t id = event_task_id_at(ms);

		for (int i = 0; i < 3; i++, id += 64) {
			char digits[32];
			uint64_t sent;

			/* 17 digits are enough for any double, and are what
			 * is left of it at worst */
			snprintf(digits, sizeof(digits), "%.17g", (double)id);
			assert_int_equal((uint64_t)strtod(digits, NULL), id);
			sent = (id + 4) / 10 * 10; /* as JavaScript rounds */
			if ((uint64_t)(double)sent == id)
				assert_int_equal(event_task_id_meant(sent), id);
			assert_int_equal(event_task_id_meant(id), id);
		}
	}
}

/* ---- forms -------------------------------------------------------------------- */

static void names_of_a_form_are_paths(void **state)
{
	(void)state;
	assert_int_equal(put_all("A=1&B.C=2&B.D.0=3&B.D.1=4"), 0);
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(json_object_get(root, "B"), "D"), "1")),
		"4");
	assert_int_equal(put_all("A=1&A=2"), EEXIST);
	assert_int_equal(put_all("A=1&A.B=2"), EEXIST);
	assert_int_equal(put_all("A.B=1&A=2"), EEXIST);
	assert_int_equal(put_all(".=1"), EINVAL);
	assert_int_equal(put_all("A.=1"), EINVAL);
	assert_int_equal(put_all(".A=1"), EINVAL);
	assert_int_equal(put_all("A..B=1"), EINVAL);
	assert_int_equal(put_all("a.b.c.d.e.f.g.h=1"), 0);
	assert_int_equal(put_all("a.b.c.d.e.f.g.h.i=1"), EINVAL);
	assert_int_equal(put_all("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				 "xxxxxxxxxxxxxxxxxxxxx=1"),
			 EINVAL);
	assert_int_equal(put_all("A=\xff"), EINVAL);
	assert_int_equal(put_all("\xff=1"), EINVAL);
	assert_int_equal(put_all("\xff.A=1"), EINVAL);
}

static void a_form_is_read_as_the_json_that_it_stands_for(void **state)
{
	(void)state;
	assert_true(read_form(CLOUD_START_RECORD,
			      "BizId=1400000000&RoomId=7&RecordMode=3&"
			      "SubscribeRecordUserIds.UnSubscribeUserIds.0=a&"
			      "SubscribeRecordUserIds.UnSubscribeUserIds.1=5"));
	assert_int_equal(q.app, 1400000000);
	assert_string_equal(q.room, "7");
	assert_int_equal(q.mode, 3);
	assert_true(q.has_lists);
	assert_int_equal(q.allow.n, 0);
	assert_int_equal(q.block.n, 2);
	assert_string_equal(q.block.ids[1], "5");
	/* a JSON body has numbers for numbers */
	assert_refused(CLOUD_START_RECORD,
		       "{'BizId':'1','RoomId':'7','RecordMode':3}",
		       "InvalidParameter");
	assert_false(
		read_form(CLOUD_START_RECORD, "BizId=1&RoomId=7&RecordMode=x"));
	assert_string_equal(e.code, "InvalidParameter");
	assert_false(
		read_form(CLOUD_START_RECORD, "BizId=1&RoomId=7&RecordMode=9"));
	assert_string_equal(e.code, "InvalidParameterValue.InvalidRecordMode");
	/* a hole in a list */
	assert_false(read_form(CLOUD_START_RECORD,
			       "BizId=1&RoomId=7&RecordMode=1&"
			       "SubscribeRecordUserIds.SubscribeUserIds.1=a"));
	assert_string_equal(e.code, "InvalidParameter");
}

/* ---- gme ----------------------------------------------------------------------- */

static void the_samples_of_gme_are_read(void **state)
{
	(void)state;
	/* the vendor's, but that both lists have somebody in it */
	assert_true(read_json(
		CLOUD_START_RECORD,
		"{'RecordMode':1,'SubscribeRecordUserIds':{'SubscribeUserIds':"
		"[1145],'UnSubscribeUserIds':[]},'RoomId':'1987','BizId':"
		"3400352518}"));
	assert_int_equal(q.action, CLOUD_START_RECORD);
	assert_int_equal(q.app, 3400352518);
	assert_int_equal(q.mode, 1);
	assert_string_equal(q.room, "1987");
	assert_int_equal(q.allow.n, 1);
	assert_string_equal(q.allow.ids[0], "1145");
	assert_true(read_json(CLOUD_MODIFY_RECORD_INFO,
			      "{'TaskId':446192236330927912,'RecordMode':2,"
			      "'BizId':3400352518}"));
	assert_int_equal(q.task, event_task_id_meant(446192236330927912));
	assert_false(q.has_lists);
	assert_true(read_json(CLOUD_STOP_RECORD,
			      "{'TaskId':57124535869636610,'BizId':1}"));
	assert_int_equal(q.task, 57124535869636608);
	assert_true(read_json(CLOUD_DESCRIBE_TASK_INFO,
			      "{'RoomId':'r','BizId':1,"
			      "'SubscribeRecordUserIds':null}") == false);
	assert_string_equal(e.code, "UnknownParameter");
	assert_true(read_json(CLOUD_DESCRIBE_ROOM_INFO,
			      "{'SdkAppId':1,'RoomIds':[7,8,7],'StrRoomIds':"
			      "['a']}"));
	assert_int_equal(q.rooms.n, 3);
	assert_string_equal(q.rooms.ids[0], "7");
	assert_string_equal(q.rooms.ids[2], "a");
}

static void gme_names_what_is_wrong(void **state)
{
	static const char both[] =
		"{'BizId':1,'RoomId':'r','RecordMode':1,"
		"'SubscribeRecordUserIds':{'SubscribeUserIds':['a'],"
		"'UnSubscribeUserIds':['b']}}";

	(void)state;
	assert_refused(CLOUD_START_RECORD, "[]", "InvalidParameter");
	assert_refused(CLOUD_START_RECORD, "{'RoomId':'r','RecordMode':1}",
		       "MissingParameter");
	assert_string_equal(e.text, "BizId is missing.");
	/* one number that is too long makes reals of all */
	assert_true(read_json(CLOUD_STOP_RECORD,
			      "{'BizId':7.0,'TaskId':57124535869636608.0}"));
	assert_int_equal(q.task, 57124535869636608);
	assert_refused(CLOUD_STOP_RECORD, "{'BizId':1,'TaskId':1e19}",
		       "InvalidParameterValue.InvalidTaskId");
	assert_refused(CLOUD_START_RECORD, both,
		       "InvalidParameterValue.InvalidSubscribeRecordUserIds");
	assert_refused(CLOUD_STOP_RECORD, "{'BizId':1,'TaskId':1.5}",
		       "InvalidParameterValue.InvalidTaskId");
	assert_refused(CLOUD_START_RECORD,
		       "{'BizId':1,'RoomId':'a\\u0000b','RecordMode':1}",
		       "InvalidParameter");
	assert_refused(CLOUD_START_RECORD,
		       "{'BizId':1,'RoomId':'r','RecordMode':1,"
		       "'SubscribeRecordUserIds':{'SubscribeUserIds':[[1]]}}",
		       "InvalidParameter");
}

/* ---- trtc ------------------------------------------------------------------------ */

#define STORAGE                                                            \
	"'StorageParams':{'CloudStorage':{'Vendor':0,'Region':'','Bucket'" \
	":'b','AccessKey':'a','SecretKey':'s'}}"
#define CREATE                                                           \
	"{'SdkAppId':1,'RoomId':'7','UserId':'u','UserSig':'s'," STORAGE \
	",'RecordParams':{'RecordMode':2"

static void what_trtc_leaves_out_is_as_the_vendor_has_it(void **state)
{
	(void)state;
	assert_true(read_json(CLOUD_CREATE_RECORDING, CREATE "}}"));
	assert_int_equal(q.mode, 2);
	assert_int_equal(q.stream_type, 0);
	assert_int_equal(q.output_format, -1);
	assert_int_equal(q.max_idle_s, 30);
	assert_int_equal(q.max_minutes, 1440);
	assert_int_equal(q.expire_hours, 72);
	assert_string_equal(q.storage.bucket, "b");
	assert_null(q.storage.endpoint_url);
	assert_false(q.has_lists);
	assert_true(read_json(
		CLOUD_CREATE_RECORDING, CREATE
		",'StreamType':1,'OutputFormat':0,'MaxIdleTime':5,"
		"'MaxMediaFileDuration':60,'AvMerge':1,'FillType':1,'MediaId':"
		"0,"
		"'SubscribeAbility':1,'SubscribeStreamUserIds':{"
		"'SubscribeAudioUserIds':['1.*$'],'SubscribeVideoUserIds':['2']"
		"}},'RoomIdType':1,'ResourceExpiredHour':6,'PrivateMapKey':'p',"
		"'MixLayoutParams':{'MixLayoutMode':3},'MixTranscodeParams':{}"
		"}"));
	assert_int_equal(q.stream_type, 1);
	assert_int_equal(q.output_format, 0);
	assert_int_equal(q.max_idle_s, 5);
	assert_int_equal(q.max_minutes, 60);
	assert_int_equal(q.expire_hours, 6);
	assert_int_equal(q.allow.n, 1);
	assert_string_equal(q.allow.ids[0], "1.*$");
}

static void trtc_names_what_is_wrong(void **state)
{
	(void)state;
	assert_refused(CLOUD_CREATE_RECORDING, CREATE ",'MaxIdleTime':4}}",
		       "InvalidParameter.OutOfRange");
	assert_string_equal(e.text, "RecordParams.MaxIdleTime must be a whole "
				    "number from 5 to 86400.");
	assert_refused(CLOUD_CREATE_RECORDING, "{'SdkAppId':1,'RoomId':'7'}",
		       "MissingParameter.UserId");
	assert_refused(CLOUD_CREATE_RECORDING,
		       CREATE "},'StorageParams':{'CloudVod':{}}}",
		       "UnsupportedOperation");
	assert_refused(CLOUD_DESCRIBE_RECORDING,
		       "{'SdkAppId':1,'TaskId':'9223372036854775808'}",
		       "InvalidParameter.TaskId");
	assert_refused(CLOUD_DESCRIBE_RECORDING, "{'SdkAppId':1,'TaskId':'7 '}",
		       "InvalidParameter.TaskId");
	assert_true(read_json(CLOUD_DELETE_RECORDING,
			      "{'SdkAppId':1,'TaskId':'7'}"));
	assert_int_equal(q.task, 7);
	assert_true(
		read_json(CLOUD_MODIFY_RECORDING,
			  "{'SdkAppId':1,'TaskId':'7','MixLayoutParams':{}}"));
	assert_false(q.has_lists);
}

/* ---- memory ----------------------------------------------------------------------- */

static void read_once(void)
{
	json_t *tree = json_object();
	int err = tree ? cloud_form_put(tree, "SdkAppId", "7") : ENOMEM;

	if (!err)
		err = cloud_form_put(tree, "StrRoomIds.0", "a");
	assert_true(!err || err == ENOMEM || err == EINVAL);
	if (!err)
		(void)cloud_read(CLOUD_DESCRIBE_ROOM_INFO, tree, true, &q, &e);
	json_decref(tree);
}

static void reading_survives_no_memory(void **state)
{
	(void)state;
	forget();
	json_set_alloc_funcs(mem_zalloc, mem_free);
	OOM_SWEEP(read_once);
	json_set_alloc_funcs(malloc, free);
}

static int teardown(void **state)
{
	(void)state;
	forget();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_action_is_found_in_its_version_only),
		cmocka_unit_test(
			a_task_id_that_went_through_a_double_is_known_again),
		cmocka_unit_test(names_of_a_form_are_paths),
		cmocka_unit_test(a_form_is_read_as_the_json_that_it_stands_for),
		cmocka_unit_test(the_samples_of_gme_are_read),
		cmocka_unit_test(gme_names_what_is_wrong),
		cmocka_unit_test(what_trtc_leaves_out_is_as_the_vendor_has_it),
		cmocka_unit_test(trtc_names_what_is_wrong),
		cmocka_unit_test(reading_survives_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
