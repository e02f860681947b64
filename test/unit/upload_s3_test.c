/** test/unit/upload_s3_test.c -- segments into a bucket, whatever it answers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/upload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "oom.h"
#include "s3_aid.h"
#include "tempdir.h"
#include "upload/s3.h"

#define NAME "1_r_u/a.mp3"
#define KEY  "/bucket/pre/" NAME

enum { LEN = 20000, PART = 6000, N_PARTS = 4 };

struct rig {
	char dir[TEMPDIR_CAP];
	char endpoint[64];
	char text[LEN + 1];
	char sha256[65];
	struct fake *fake;
	struct upload_config config;
	struct upload_place place;
	struct loop *loop;
	struct upload *upload;
	struct upload_storage *storage;
	int calls;
	int err;
	unsigned attempt;
	char reason[32];
	char said[400];
};

static void on_result(const struct upload_result *result, void *arg)
{
	struct rig *r = arg;

	r->calls++;
	r->err = result->err;
	r->attempt = result->attempt;
	snprintf(r->reason, sizeof(r->reason), "%s", result->reason);
	snprintf(r->said, sizeof(r->said), "%s", result->text);
}

static void write_spool(struct rig *r)
{
	assert_int_equal(file_mkdirs(tempdir_path(r->dir, "1_r_u")), 0);
	put_file(tempdir_path(r->dir, NAME), r->text, LEN);
}

static void set_up_files(struct rig *r)
{
	*r = (struct rig){0};
	tempdir_make(r->dir);
	for (int i = 0; i < LEN; i++)
		r->text[i] = (char)('a' + i % 23 + i / 7000);
	write_spool(r);
	assert_int_equal(sig_sha256_hex(r->text, LEN, r->sha256), 0);
	r->fake = fake_start();
	snprintf(r->endpoint, sizeof(r->endpoint), "http://127.0.0.1:%u",
		 (unsigned)r->fake->port);
	r->config = (struct upload_config){
		.spool_dir = r->dir,
		.retry_first_us = 1000,
		.retry_max_us = 4000,
	};
	r->place = (struct upload_place){.kind = UPLOAD_S3,
					 .s3 = {.endpoint = r->endpoint,
						.region = "us-east-1",
						.bucket = "bucket",
						.prefix = "pre/",
						.access_key = "AKIDEXAMPLE",
						.secret_key = "verysecret",
						.path_style = true}};
}

static void start(struct rig *r)
{
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(
		upload_new(r->loop, &r->config, on_result, r, &r->upload), 0);
}

static void set_up(struct rig *r)
{
	set_up_files(r);
	start(r);
}

static void set_up_at_once(struct rig *r)
{
	set_up_files(r);
	assert_int_equal(upload_open(&r->config, &r->place, &r->storage), 0);
}

static void stop(struct rig *r)
{
	upload_free(r->upload);
	r->upload = NULL;
	if (r->loop)
		loop_turn(r->loop, 0);
	loop_free(r->loop);
	r->loop = NULL;
}

static void tear_down(struct rig *r)
{
	stop(r);
	upload_close(r->storage);
	fake_stop(r->fake);
	tempdir_remove(r->dir);
	assert_int_equal(counter_get(COUNT_uploads_pending), 0);
	assert_int_equal(counter_get(COUNT_uploads_pending_bytes), 0);
}

/** Items that say nothing go to the rig's place. */
static struct upload *with_place(const struct rig *r, struct upload_item *item)
{
	if (!item->place)
		item->place = &r->place;
	return r->upload;
}

static int add(struct rig *r)
{
	struct upload_item item = {
		.segment = 7, .name = NAME, .len = LEN, .sha256 = r->sha256};

	r->calls = 0;
	return upload_add(with_place(r, &item), &item);
}

static void wait_calls(struct rig *r, int calls)
{
	for (int i = 0; i < 1000 && r->calls < calls; i++)
		loop_turn(r->loop, 20000);
	assert_true(r->calls >= calls);
}

static void wait_stored(struct rig *r)
{
	wait_calls(r, 1);
	for (int i = 0; i < 1000 && r->err; i++)
		loop_turn(r->loop, 20000);
	if (r->err)
		fail_msg("%s", r->said);
}

static void expect_stored(const struct rig *r)
{
	const struct fake_object *o = fake_find(r->fake, KEY);

	assert_non_null(o);
	assert_int_equal(o->len, LEN);
	assert_memory_equal(o->data, r->text, LEN);
	assert_string_equal(o->sha256, r->sha256);
	assert_int_equal(upload_pending(r->upload), 0);
	/* The spool's copy is the caller's to drop. */
	assert_true(file_is_there(tempdir_path(r->dir, NAME)));
}

static void upload(struct rig *r)
{
	assert_int_equal(add(r), 0);
	wait_stored(r);
	expect_stored(r);
}

/* ---- one file --------------------------------------------------------------- */

static void a_file_is_looked_for_sent_and_confirmed(void **state)
{
	int64_t sent = counter_get(COUNT_upload_bytes);
	struct rig r;

	(void)state;
	set_up(&r);
	upload(&r);
	assert_int_equal(r.attempt, 1);
	assert_string_equal(r.fake->log,
			    "GET " KEY "\nPUT " KEY "\nGET " KEY "\n");
	assert_string_equal(fake_find(r.fake, KEY)->type, "audio/mpeg");
	assert_int_equal(counter_get(COUNT_upload_bytes), sent + LEN);
	/* Again: it is there. */
	upload(&r);
	assert_int_equal(fake_count(r.fake, "PUT"), 1);
	/* Also when the spool's copy has gone. */
	assert_int_equal(upload_drop_spool(&r.config, NAME), 0);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_int_equal(r.err, 0);
	assert_int_equal(fake_count(r.fake, "PUT"), 1);
	tear_down(&r);
}

static void other_contents_of_that_name_are_never_replaced(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	fake_put(r.fake, KEY, "other", 5, r.sha256);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 2);
	assert_string_equal(r.reason, "name_taken");
	assert_int_equal(fake_count(r.fake, "PUT"), 0);
	/* The same length, but not known to be ours. */
	fake_put(r.fake, KEY, r.text, LEN, "");
	wait_calls(&r, r.calls + 2);
	assert_string_equal(r.reason, "name_taken");
	assert_int_equal(fake_count(r.fake, "PUT"), 0);
	/* A person moves it away. */
	fake_find(r.fake, KEY)->path[0] = 0;
	wait_stored(&r);
	expect_stored(&r);
	tear_down(&r);
}

static void an_object_that_has_become_another_is_sent_again(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	r.text[7] = '!';
	fake_put(r.fake, KEY, r.text, LEN, r.sha256);
	r.text[7] = (char)('a' + 7);
	upload(&r);
	assert_int_equal(fake_count(r.fake, "PUT"), 1);
	tear_down(&r);
}

static void what_is_not_as_recorded_is_never_sent(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	put_file(tempdir_path(r.dir, NAME), r.text, LEN - 1);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "file_damaged");
	r.text[0] = '!';
	put_file(tempdir_path(r.dir, NAME), r.text, LEN);
	wait_calls(&r, r.calls + 2);
	assert_string_equal(r.reason, "file_damaged");
	assert_int_equal(unlink(tempdir_path(r.dir, NAME)), 0);
	wait_calls(&r, r.calls + 2);
	assert_string_equal(r.reason, "file_missing");
	assert_int_equal(fake_count(r.fake, "PUT"), 0);
	tear_down(&r);
}

static void without_a_hash_that_of_the_file_counts(void **state)
{
	struct upload_item item = {
		.segment = 7, .name = NAME, .len = LEN, .sha256 = ""};
	struct rig r;

	(void)state;
	set_up(&r);
	assert_int_equal(upload_add(with_place(&r, &item), &item), 0);
	wait_stored(&r);
	expect_stored(&r);
	tear_down(&r);
}

static void each_answer_has_its_reason(void **state)
{
	static const struct {
		int status;
		const char *code;
		const char *reason;
	} answers[] = {
		{403, "AccessDenied", "access_denied"},
		{403, "SignatureDoesNotMatch", "access_denied"},
		{401, "Unauthorized", "access_denied"},
		{403, "RequestTimeTooSkewed", "clock_skew"},
		{404, "NoSuchBucket", "bucket_missing"},
		{404, "NoSuchKey", "storage_error"},
		{503, "SlowDown", "store_busy"},
		{503, NULL, "store_busy"},
		{429, "TooManyRequests", "store_busy"},
		{400, "RequestTimeout", "store_busy"},
		{504, NULL, "store_busy"},
		{400, "BadDigest", "checksum_mismatch"},
		{400, "XAmzContentSHA256Mismatch", "checksum_mismatch"},
		{507, "XMinioStorageFull", "disk_full"},
		{500, "InternalError", "storage_error"},
		{301, "PermanentRedirect", "storage_error"},
		{400, "AuthorizationHeaderMalformed", "storage_error"},
		{200, "InternalError", "storage_error"},
	};
	struct rig r;

	(void)state;
	set_up(&r);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		char status[16];

		fake_find(r.fake, "")->len = 0;
		r.fake->rules[0] =
			(struct fake_rule){.method = "PUT",
					   .has = KEY,
					   .to = 1,
					   .status = answers[i].status,
					   .code = answers[i].code,
					   .message = "a &lt;b&gt; &#x26;"};
		assert_int_equal(add(&r), 0);
		wait_calls(&r, 1);
		if (strcmp(r.reason, answers[i].reason) != 0)
			fail_msg("%d %s is %s: %s", answers[i].status,
				 answers[i].code, r.reason, r.said);
		snprintf(status, sizeof(status), "status %d",
			 answers[i].status);
		assert_non_null(strstr(r.said, status));
		assert_non_null(strstr(r.said, "PUT bucket/pre/" NAME));
		if (answers[i].code) {
			assert_non_null(strstr(r.said, answers[i].code));
			assert_non_null(strstr(r.said, ": a <b> &"));
		}
		wait_stored(&r);
		fake_find(r.fake, KEY)->path[0] = 0;
	}
	tear_down(&r);
}

static void no_key_is_told_on(void **state)
{
	static const char *const messages[] = {"it is verysecret",
					       "AKIDEXAMPLE may not"};
	struct rig r;

	(void)state;
	set_up(&r);
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		r.fake->rules[0] = (struct fake_rule){.method = "PUT",
						      .has = KEY,
						      .to = 1,
						      .status = 403,
						      .code = "AccessDenied",
						      .message = messages[i]};
		assert_int_equal(add(&r), 0);
		wait_calls(&r, 1);
		assert_string_equal(r.reason, "access_denied");
		assert_null(strstr(r.said, "verysecret"));
		assert_null(strstr(r.said, "AKIDEXAMPLE"));
		wait_stored(&r);
		fake_find(r.fake, KEY)->path[0] = 0;
	}
	tear_down(&r);
}

static void a_checksum_that_differs_is_no_success(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	r.fake->rules[0] = (struct fake_rule){
		.method = "PUT",
		.has = KEY,
		.to = 1,
		.status = -1,
		.etag = "\"00000000000000000000000000000000\""};
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "checksum_mismatch");
	wait_stored(&r);
	/* A look that shows another length. */
	fake_find(r.fake, KEY)->path[0] = 0;
	r.fake->rules[0] = (struct fake_rule){.method = "GET",
					      .has = KEY,
					      .from = 2,
					      .to = 2,
					      .status = -1,
					      .extra = 1};
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "checksum_mismatch");
	assert_non_null(strstr(r.said, "another length"));
	wait_stored(&r);
	/* A store that has lost it at once. */
	fake_find(r.fake, KEY)->path[0] = 0;
	r.fake->rules[0] = (struct fake_rule){
		.method = "GET", .has = KEY, .from = 2, .to = 2, .status = 404};
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "checksum_mismatch");
	assert_non_null(strstr(r.said, "no such object"));
	wait_stored(&r);
	tear_down(&r);
}

static void an_etag_that_is_no_md5_says_nothing(void **state)
{
	static const struct fake_rule rules[] = {
		{.method = "PUT", .has = KEY, .status = -1, .etag = "\"abc\""},
		{.method = "PUT",
		 .has = KEY,
		 .status = -1,
		 .etag = "\"00000000000000000000000000000000\"",
		 .sse = "aws:kms"},
	};
	struct rig r;

	(void)state;
	set_up(&r);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		r.fake->rules[0] = rules[i];
		upload(&r);
		assert_int_equal(r.attempt, 1);
		fake_find(r.fake, KEY)->path[0] = 0;
	}
	tear_down(&r);
}

static void a_store_that_says_nothing_is_busy(void **state)
{
	struct rig r;

	(void)state;
	set_up_files(&r);
	r.config.stall_us = 1;
	r.fake->rules[0] =
		(struct fake_rule){.method = "PUT", .has = KEY, .to = 1};
	start(&r);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "store_busy");
	wait_stored(&r);
	tear_down(&r);
}

static void it_stops_at_once_while_a_store_says_nothing(void **state)
{
	struct rig r;

	(void)state;
	set_up_files(&r);
	r.config.stall_us = 3600LL * 1000000; /* else it would end by itself */
	start(&r);
	r.fake->rules[0] = (struct fake_rule){.method = "PUT", .has = KEY};
	assert_int_equal(add(&r), 0);
	for (int i = 0; i < 1000 && !fake_count(r.fake, "PUT"); i++)
		loop_turn(r.loop, 10000);
	assert_int_equal(fake_count(r.fake, "PUT"), 1);
	stop(&r);
	assert_int_equal(r.calls, 0);
	tear_down(&r);
}

static void nobody_there_is_a_connection_lost(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	assert_true(r.fake->pid > 0);
	kill(r.fake->pid, SIGKILL);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 2);
	assert_string_equal(r.reason, "connection_lost");
	tear_down(&r);
}

static void what_has_piled_up_does_not_wait_when_the_store_is_well(void **state)
{
	struct upload_item item = {.segment = 8, .len = LEN};
	char name[32];
	struct rig r;

	(void)state;
	set_up_files(&r);
	r.config.retry_first_us = r.config.retry_max_us = 3600LL * 1000000;
	r.fake->rules[0] = (struct fake_rule){
		.method = "PUT", .has = "1_r_u/b", .to = 5, .status = 503};
	start(&r);
	item.sha256 = r.sha256;
	item.name = name;
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "1_r_u/b%d.mp3", i);
		put_file(tempdir_path(r.dir, name), r.text, LEN);
		assert_int_equal(upload_add(with_place(&r, &item), &item), 0);
	}
	wait_calls(&r, 5);
	assert_int_equal(upload_pending(r.upload), 5);
	assert_int_equal(add(&r), 0); /* one that succeeds */
	wait_calls(&r, 6);
	assert_int_equal(upload_pending(r.upload), 0);
	tear_down(&r);
}

static void an_item_may_have_a_place_of_its_own(void **state)
{
	struct upload_item item = {.segment = 8, .name = NAME, .len = LEN};
	struct upload_place other, folder;
	char dir[TEMPDIR_CAP + 8];
	struct rig r;

	(void)state;
	set_up(&r);
	other = r.place;
	other.s3.bucket = "other";
	other.s3.prefix = "";
	snprintf(dir, sizeof(dir), "%s/local", r.dir);
	folder = (struct upload_place){.kind = UPLOAD_LOCAL, .dir = dir};
	item.sha256 = r.sha256;
	item.place = &other;
	assert_int_equal(upload_add(with_place(&r, &item), &item), 0);
	wait_stored(&r);
	r.calls = 0;
	item.place = &folder;
	assert_int_equal(upload_add(with_place(&r, &item), &item), 0);
	wait_stored(&r);
	upload(&r);
	assert_int_equal(fake_find(r.fake, "/other/" NAME)->len, LEN);
	assert_true(file_is_there(tempdir_path(dir, NAME)));
	assert_int_equal(fake_count(r.fake, "PUT"), 2);
	tear_down(&r);
}

/** Ten files for a place whose requests are not answered. */
static void add_ten(struct rig *r, const struct upload_place *place)
{
	for (uint64_t i = 0; i < 10; i++) {
		struct upload_item item = {.segment = 100 + i,
					   .name = NAME,
					   .len = LEN,
					   .sha256 = r->sha256,
					   .place = place};

		assert_int_equal(upload_add(r->upload, &item), 0);
	}
}

static struct upload_place other_place(const struct rig *r)
{
	struct upload_place other = r->place;

	other.s3.bucket = "other";
	return other;
}

/** Callers' places that hang, and ours beside them. */
static void places_that_hang_keep_no_thread_from_ours(void **state)
{
	static const char *const buckets[] = {"other1", "other2", "other3",
					      "other4", "other5", "other6",
					      "other7", "other8"};
	struct upload_place others[ARRAY_LEN(buckets)];
	struct rig r;

	(void)state;
	set_up(&r);
	r.fake->rules[0] = (struct fake_rule){.method = "GET", .has = "/other"};
	for (size_t i = 0; i < ARRAY_LEN(buckets); i++) {
		others[i] = r.place;
		others[i].s3.bucket = buckets[i];
		others[i].s3.is_foreign = true;
		add_ten(&r, &others[i]);
	}
	assert_int_equal(add(&r), 0);
	wait_stored(&r);
	assert_non_null(fake_find(r.fake, KEY));
	assert_int_equal(upload_pending(r.upload), 10 * ARRAY_LEN(buckets));
	tear_down(&r);
}

/** As many prefixes as you like are one place. */
static void a_place_is_one_whatever_the_prefix(void **state)
{
	static const char *const prefixes[] = {"a/", "b/", "c/", "d/",
					       "e/", "f/", "g/"};
	struct upload_place other, third;
	struct rig r;

	(void)state;
	set_up(&r);
	other = other_place(&r);
	r.fake->rules[0] =
		(struct fake_rule){.method = "GET", .has = "/other/"};
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct upload_item item = {.segment = 8,
					   .name = NAME,
					   .len = LEN,
					   .sha256 = r.sha256,
					   .place = &other};

		other.s3.prefix = prefixes[i];
		assert_int_equal(upload_add(r.upload, &item), 0);
	}
	third = r.place;
	third.s3.bucket = "third";
	third.s3.prefix = "x/";
	assert_int_equal(
		upload_add(r.upload, &(struct upload_item){.segment = 9,
							   .name = NAME,
							   .len = LEN,
							   .sha256 = r.sha256,
							   .place = &third}),
		0);
	wait_stored(&r);
	assert_int_equal(fake_find(r.fake, "/third/x/" NAME)->len, LEN);
	assert_true(fake_count(r.fake, "GET /other/") <= 4);
	tear_down(&r);
}

static void a_place_that_fails_is_asked_once_at_a_time(void **state)
{
	struct upload_item item = {.segment = 8, .name = NAME, .len = LEN};
	struct upload_place other;
	struct rig r;

	(void)state;
	set_up(&r);
	other = other_place(&r);
	r.fake->rules[0] = (struct fake_rule){
		.method = "GET", .has = "/other/", .to = 1, .status = 403};
	r.fake->rules[1] =
		(struct fake_rule){.method = "GET", .has = "/other/"};
	item.sha256 = r.sha256;
	item.place = &other;
	assert_int_equal(upload_add(r.upload, &item), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "access_denied");
	add_ten(&r, &other);
	for (int i = 0; i < 1000 && fake_count(r.fake, "GET /other/") < 2; i++)
		loop_turn(r.loop, 20000);
	assert_int_equal(add(&r), 0);
	wait_stored(&r);
	assert_int_equal(fake_count(r.fake, "GET /other/"), 2);
	tear_down(&r);
}

static void what_waits_moves_to_other_keys(void **state)
{
	struct upload_item item = {.segment = 8, .name = NAME, .len = LEN};
	struct upload_place other;
	struct rig r;

	(void)state;
	set_up(&r);
	other = other_place(&r);
	upload_move(r.upload, &r.place, &other); /* nothing goes there */
	r.fake->rules[0] = (struct fake_rule){
		.method = "GET", .has = "/bucket/", .status = 403};
	item.sha256 = r.sha256;
	item.place = &r.place;
	assert_int_equal(upload_add(r.upload, &item), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "access_denied");
	upload_move(r.upload, &r.place, &other);
	wait_stored(&r);
	assert_int_equal(fake_find(r.fake, "/other/pre/" NAME)->len, LEN);
	tear_down(&r);
}

static void a_public_place_has_no_private_address(void **state)
{
	struct upload_item item = {.segment = 8, .name = NAME, .len = LEN};
	struct upload_place stranger;
	struct rig r;

	(void)state;
	set_up(&r);
	upload(&r); /* a connection to that address is kept */
	r.calls = 0;
	stranger = r.place;
	stranger.s3.is_public = true;
	item.sha256 = r.sha256;
	item.place = &stranger;
	assert_int_equal(upload_add(r.upload, &item), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "address_private");
	assert_non_null(strstr(r.said, "the address 127.0.0.1 is not a global "
				       "one: loopback"));
	assert_int_equal(upload_pending(r.upload), 1);
	tear_down(&r);
}

static void a_place_is_kept_as_text(void **state)
{
	static const char number[] =
		"{\"endpoint\":1,\"region\":\"\",\"bucket\":\"\",\"prefix\":"
		"\"\",\"access_key\":\"\",\"secret_key\":\"\"}";
	static const char *const bad[] = {"", "[]", "{}", number};
	struct upload_place *copy, *again;
	struct buf text;
	struct rig r;

	(void)state;
	set_up_files(&r);
	assert_int_equal(upload_place_copy(&r.place.s3, &copy), 0);
	assert_true(upload_s3_is(&copy->s3, &r.place.s3));
	assert_int_equal(copy->kind, UPLOAD_S3);
	buf_init(&text, 4096);
	assert_int_equal(upload_s3_write(&copy->s3, &text), 0);
	assert_int_equal(upload_s3_parse(buf_str(&text), &again), 0);
	assert_true(upload_s3_is(&again->s3, &r.place.s3));
	again->s3.path_style = false;
	assert_false(upload_s3_is(&again->s3, &r.place.s3));
	copy->s3.secret_key = "other";
	assert_false(upload_s3_is(&copy->s3, &r.place.s3));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct upload_place *none = NULL;

		assert_int_equal(upload_s3_parse(bad[i], &none), EBADMSG);
		assert_null(none);
	}
	buf_fini(&text);
	upload_place_free(copy);
	upload_place_free(again);
	upload_place_free(NULL);
	tear_down(&r);
}

static void keep_without_memory(void)
{
	const struct upload_s3 s3 = {.endpoint = "e", .bucket = "b"};
	struct upload_place *copy = NULL, *again = NULL;
	struct buf text;
	int err;

	buf_init(&text, 4096);
	err = upload_place_copy(&s3, &copy);
	if (!err)
		err = upload_s3_write(&copy->s3, &text);
	if (!err)
		err = upload_s3_parse(buf_str(&text), &again);
	assert_true(!err || err == ENOMEM);
	if (!err)
		assert_true(upload_s3_is(&again->s3, &s3));
	buf_fini(&text);
	upload_place_free(copy);
	upload_place_free(again);
}

static void progress_is_told(void **state)
{
	struct upload_item item = {
		.segment = 7, .name = NAME, .len = LEN, .since_ms = 5000};
	struct upload_status status;
	struct rig r;

	(void)state;
	set_up(&r);
	upload_status(r.upload, &status);
	assert_int_equal(status.pending, 0);
	assert_int_equal(status.oldest_ms, 0);
	r.fake->rules[0] = (struct fake_rule){
		.method = "GET", .has = KEY, .to = 1, .status = 503};
	item.sha256 = r.sha256;
	assert_int_equal(upload_add(with_place(&r, &item), &item), 0);
	item.since_ms = 4000;
	item.name = "none";
	assert_int_equal(upload_add(with_place(&r, &item), &item), 0);
	wait_calls(&r, 2);
	upload_status(r.upload, &status);
	assert_true(status.pending >= 1);
	assert_int_equal(status.bytes, (int64_t)status.pending * LEN);
	assert_int_equal(status.oldest_ms, 4000);
	/* The rate is looked at once a second. */
	for (int i = 0; i < 100000 && !status.bytes_s; i++) {
		loop_turn(r.loop, 20000);
		upload_status(r.upload, &status);
	}
	assert_true(status.bytes_s > 0);
	tear_down(&r);
}

/* ---- in parts --------------------------------------------------------------- */

static void set_up_parts(struct rig *r)
{
	set_up_files(r);
	r->config.multipart_from = LEN - 1;
	r->config.part_len = PART;
}

static void a_long_file_goes_in_parts(void **state)
{
	struct rig r;

	(void)state;
	set_up_parts(&r);
	start(&r);
	upload(&r);
	assert_int_equal(fake_count(r.fake, "PUT"), N_PARTS);
	assert_int_equal(fake_count(r.fake, "partNumber=4&uploadId=id&1"), 1);
	assert_int_equal(r.attempt, 1);
	/* It is there: the ETag is of other parts, and says nothing. */
	upload(&r);
	assert_int_equal(fake_count(r.fake, "PUT"), N_PARTS);
	assert_true(file_is_there(tempdir_path(r.dir, NAME ".upload")));
	assert_int_equal(upload_drop_spool(&r.config, NAME), 0);
	assert_false(file_is_there(tempdir_path(r.dir, "1_r_u")));
	tear_down(&r);
}

static void it_goes_on_where_it_was(void **state)
{
	struct rig r;

	(void)state;
	set_up_parts(&r);
	r.fake->rules[0] = (struct fake_rule){
		.method = "PUT", .has = "partNumber=3", .status = 503};
	start(&r);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 3);
	assert_string_equal(r.reason, "store_busy");
	stop(&r);
	r.fake->rules[0].method = NULL;
	start(&r);
	upload(&r);
	assert_int_equal(fake_count(r.fake, "uploads="), 1);
	assert_int_equal(fake_count(r.fake, "partNumber=1"), 1);
	assert_int_equal(fake_count(r.fake, "partNumber=2"), 1);
	assert_int_equal(fake_count(r.fake, "partNumber=4"), 1);
	tear_down(&r);
}

/** What is written down, but with other parts of a length of `part`. */
static void write_state(struct rig *r, const char *sha256, int part,
			const char *host)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "tapeop-upload 1\n%s %d %d http://%s:%u%s\nold\netag\n",
		 sha256, LEN, part, host, (unsigned)r->fake->port, KEY);
	put_file(tempdir_path(r->dir, NAME ".upload"), text, strlen(text));
}

static void what_was_begun_of_something_else_is_begun_anew(void **state)
{
	struct rig r;

	(void)state;
	for (int i = 0; i < 5; i++) {
		set_up_parts(&r);
		if (i == 0)
			put_file(tempdir_path(r.dir, NAME ".upload"), "x", 1);
		if (i == 1)
			write_state(&r, "00", PART, "127.0.0.1");
		if (i == 2)
			write_state(&r, r.sha256, PART + 1, "127.0.0.1");
		if (i == 3)
			write_state(&r, r.sha256, PART, "127.0.0.2");
		if (i == 4) /* ours, but the store knows no such upload */
			write_state(&r, r.sha256, PART, "127.0.0.1");
		start(&r);
		upload(&r);
		assert_int_equal(r.attempt, i == 4 ? 2 : 1);
		assert_int_equal(fake_count(r.fake, "partNumber=1"), 1);
		tear_down(&r);
	}
}

static void a_part_that_arrives_wrong_is_sent_again(void **state)
{
	struct rig r;

	(void)state;
	set_up_parts(&r);
	r.fake->rules[0] = (struct fake_rule){
		.method = "PUT",
		.has = "partNumber=2",
		.to = 1,
		.status = -1,
		.etag = "\"00000000000000000000000000000000\""};
	start(&r);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "checksum_mismatch");
	wait_stored(&r);
	expect_stored(&r);
	assert_int_equal(fake_count(r.fake, "partNumber=1"), 1);
	assert_int_equal(fake_count(r.fake, "partNumber=2"), 2);
	tear_down(&r);
}

static void an_error_in_a_200_is_an_error(void **state)
{
	struct rig r;

	(void)state;
	set_up_parts(&r);
	r.fake->rules[0] = (struct fake_rule){.method = "POST",
					      .has = "uploadId=",
					      .to = 1,
					      .status = 200,
					      .code = "InternalError"};
	start(&r);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "storage_error");
	wait_stored(&r);
	expect_stored(&r);
	assert_int_equal(fake_count(r.fake, "PUT"), N_PARTS);
	tear_down(&r);
}

static void parts_that_were_put_together_unheard_are_found(void **state)
{
	struct rig r;

	(void)state;
	set_up_parts(&r);
	r.fake->rules[0] = (struct fake_rule){.method = "POST",
					      .has = "uploadId=",
					      .to = 1,
					      .status = 500,
					      .late = true};
	start(&r);
	upload(&r);
	assert_int_equal(r.attempt, 2);
	assert_int_equal(fake_count(r.fake, "POST"), 2);
	tear_down(&r);
}

static void an_id_that_is_none_is_refused(void **state)
{
	static const char *const bodies[] = {
		"", "<UploadId></UploadId>", "<UploadId>a b</UploadId>",
		"<UploadId/>", "<UploadId>a&#10;b</UploadId>"};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		set_up_parts(&r);
		r.fake->rules[0] = (struct fake_rule){.method = "POST",
						      .has = "uploads=",
						      .to = 1,
						      .status = 200,
						      .body = bodies[i]};
		start(&r);
		assert_int_equal(add(&r), 0);
		wait_calls(&r, 1);
		assert_non_null(strstr(r.said, "no upload id"));
		wait_stored(&r);
		expect_stored(&r);
		tear_down(&r);
	}
}

static void erasing_gives_up_what_was_begun(void **state)
{
	struct err e;
	struct rig r;

	(void)state;
	set_up_parts(&r);
	r.fake->rules[0] = (struct fake_rule){
		.method = "PUT", .has = "partNumber=3", .status = 503};
	start(&r);
	assert_int_equal(add(&r), 0);
	wait_calls(&r, 1);
	stop(&r);
	assert_string_equal(r.fake->upload_path, KEY);
	assert_int_equal(upload_open(&r.config, &r.place, &r.storage), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(upload_erase(r.storage, NAME, &e), 0);
	assert_string_equal(r.fake->upload_path, "");
	assert_false(file_is_there(tempdir_path(r.dir, NAME)));
	assert_false(file_is_there(tempdir_path(r.dir, NAME ".upload")));
	tear_down(&r);
}

/* ---- at once ---------------------------------------------------------------- */

static const struct fake_object *text_in(const struct rig *r,
					 const char *folder, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/bucket/pre/%s/%s", folder, name);
	return fake_find(r->fake, path);
}

static void texts_are_put_and_dropped_page_by_page(void **state)
{
	static const char *const folders[] = {"d", "e"};
	struct upload_text t = {.name = "2_7_manifest.json",
				.mark = "_7_manifest.json",
				.data = "{}",
				.len = 2};
	struct err e;
	struct rig r;
	char path[64];

	(void)state;
	set_up_at_once(&r);
	r.fake->page = 2;
	for (int i = 0; i < 7; i++) {
		snprintf(path, sizeof(path), "/bucket/pre/d/%d.mp3", i);
		fake_put(r.fake, path, "s", 1, "");
	}
	fake_put(r.fake, "/bucket/pre/d/1_7_manifest.json", "[]", 2, "");
	fake_put(r.fake, "/bucket/pre/d/1_17_manifest.json", "[]", 2, "");
	fake_put(r.fake, "/bucket/pre/dd/1_7_manifest.json", "[]", 2, "");
	assert_int_equal(upload_put_text(r.storage, &t, folders, 2, &e), 0);
	assert_memory_equal(text_in(&r, "d", t.name)->data, "{}", 2);
	assert_string_equal(text_in(&r, "e", t.name)->type, "application/json");
	/* Earlier versions go, others' stay. */
	assert_int_equal(upload_drop_folder(r.storage, "d", t.mark, t.name, &e),
			 0);
	assert_null(text_in(&r, "d", "1_7_manifest.json"));
	assert_non_null(text_in(&r, "d", t.name));
	assert_non_null(text_in(&r, "d", "1_17_manifest.json"));
	assert_non_null(text_in(&r, "dd", "1_7_manifest.json"));
	assert_int_equal(upload_drop_folder(r.storage, "d", t.mark, NULL, &e),
			 0);
	assert_null(text_in(&r, "d", t.name));
	assert_non_null(text_in(&r, "d", "6.mp3"));
	assert_non_null(text_in(&r, "e", t.name));
	assert_int_equal(upload_drop_folder(r.storage, "no", t.mark, NULL, &e),
			 0);
	tear_down(&r);
}

static void what_cannot_be_removed_is_told(void **state)
{
	struct err e;
	struct rig r;

	(void)state;
	set_up_at_once(&r);
	fake_put(r.fake, KEY, "s", 1, "");
	r.fake->rules[0] = (struct fake_rule){.method = "DELETE",
					      .has = KEY,
					      .to = 1,
					      .status = 403,
					      .code = "AccessDenied"};
	assert_int_equal(upload_erase(r.storage, NAME, &e), EACCES);
	assert_non_null(strstr(e.text, "DELETE bucket/pre/" NAME));
	assert_true(file_is_there(tempdir_path(r.dir, NAME)));
	assert_int_equal(upload_erase(r.storage, NAME, &e), 0);
	assert_null(fake_find(r.fake, KEY));
	assert_false(file_is_there(tempdir_path(r.dir, NAME)));
	tear_down(&r);
}

static void a_trial_leaves_nothing(void **state)
{
	struct err e;
	struct rig r;

	(void)state;
	set_up_at_once(&r);
	if (upload_try(r.storage, &e))
		fail_msg("%s", e.text);
	assert_int_equal(fake_count(r.fake, "PUT"), 1);
	assert_int_equal(fake_count(r.fake, "DELETE"), 1);
	for (size_t i = 0; i < FAKE_OBJECTS; i++)
		assert_string_equal(r.fake->objects[i].path, "");
	r.fake->rules[0] = (struct fake_rule){
		.method = "GET", .has = "/bucket", .to = 1, .status = 404};
	assert_int_equal(upload_try(r.storage, &e), ENXIO);
	r.fake->rules[0] = (struct fake_rule){
		.method = "DELETE", .has = "", .to = 1, .status = 403};
	assert_int_equal(upload_try(r.storage, &e), EACCES);
	tear_down(&r);
}

/* ---- addresses -------------------------------------------------------------- */

static struct upload_place place_at(const char *endpoint, bool path_style)
{
	return (struct upload_place){.kind = UPLOAD_S3,
				     .s3 = {.endpoint = endpoint,
					    .region = "eu-west-1",
					    .bucket = "b.c",
					    .prefix = "p/",
					    .access_key = "AK",
					    .secret_key = "s",
					    .path_style = path_style}};
}

static void a_location_is_the_url_of_the_object(void **state)
{
	static const struct {
		const char *endpoint;
		bool path_style;
		const char *url;
	} all[] = {
		{"https://h.example", true,
		 "https://h.example/b.c/p/1_%C3%A4/a%2520b.mp3"},
		{"https://h.example/", false,
		 "https://b.c.h.example/p/1_%C3%A4/a%2520b.mp3"},
		{"https://h.example:443", true,
		 "https://h.example/b.c/p/1_%C3%A4/a%2520b.mp3"},
		{"http://h.example:443", true,
		 "http://h.example:443/b.c/p/1_%C3%A4/a%2520b.mp3"},
		{"HTTP://[::1]:80", true,
		 "http://[::1]/b.c/p/1_%C3%A4/a%2520b.mp3"},
	};
	char out[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct upload_place p =
			place_at(all[i].endpoint, all[i].path_style);

		upload_location(&p, "1_\xc3\xa4/a%20b.mp3", out, sizeof(out));
		assert_string_equal(out, all[i].url);
		upload_location(&p, "1_\xc3\xa4/a%20b.mp3", out, 20);
		assert_string_equal(out, "");
	}
}

static void a_presigned_url_begins_with_the_location(void **state)
{
	struct upload_place p = place_at("https://h.example", false);
	static const char begin[] = "https://b.c.h.example/p/a.mp3?X-Amz-";
	struct buf url;

	(void)state;
	buf_init(&url, 4096);
	assert_int_equal(upload_presign(&p, "a.mp3", 60, &url), 0);
	assert_memory_equal(buf_str(&url), begin, strlen(begin));
	assert_non_null(strstr(buf_str(&url), "X-Amz-Expires=60&"));
	buf_fini(&url);
	buf_init(&url, 100);
	assert_int_equal(upload_presign(&p, "a.mp3", 60, &url), EMSGSIZE);
	buf_fini(&url);
}

/* ---- memory ----------------------------------------------------------------- */

static struct rig *swept;

static void without_memory(void)
{
	struct rig *r = swept;
	struct upload_item item = {
		.segment = 7, .name = NAME, .len = LEN, .sha256 = r->sha256};

	memset(r->fake->objects, 0, sizeof(r->fake->objects));
	r->fake->log[0] = 0;
	(void)unlink(tempdir_path(r->dir, NAME ".upload"));
	r->calls = 0;
	r->err = 0;
	if (!loop_new(&r->loop) &&
	    !upload_new(r->loop, &r->config, on_result, r, &r->upload) &&
	    !upload_add(with_place(r, &item), &item)) {
		wait_stored(r);
		expect_stored(r);
	}
	stop(r);
}

static void without_memory_at_once(void)
{
	struct upload_text t = {
		.name = "m.json", .mark = "m.json", .data = "{}", .len = 2};
	static const char *const folders[] = {"1_r_u"};
	struct rig *r = swept;
	struct upload_storage *s = NULL;
	struct err e;

	r->fake->log[0] = 0;
	if (!upload_open(&r->config, &r->place, &s) &&
	    !upload_put_text(s, &t, folders, 1, &e) &&
	    !upload_drop_folder(s, "1_r_u", t.mark, NULL, &e))
		assert_null(fake_find(r->fake, "/bucket/pre/1_r_u/m.json"));
	upload_close(s);
}

static void without_memory_it_says_so_or_tries_again(void **state)
{
	struct rig r;

	(void)state;
	swept = &r;
	set_up_files(&r);
	OOM_SWEEP(without_memory);
	OOM_SWEEP(without_memory_at_once);
	OOM_SWEEP(keep_without_memory);
	r.config.multipart_from = LEN - 1;
	r.config.part_len = PART;
	OOM_SWEEP(without_memory);
	tear_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_looked_for_sent_and_confirmed),
		cmocka_unit_test(
			other_contents_of_that_name_are_never_replaced),
		cmocka_unit_test(
			an_object_that_has_become_another_is_sent_again),
		cmocka_unit_test(what_is_not_as_recorded_is_never_sent),
		cmocka_unit_test(without_a_hash_that_of_the_file_counts),
		cmocka_unit_test(each_answer_has_its_reason),
		cmocka_unit_test(no_key_is_told_on),
		cmocka_unit_test(a_checksum_that_differs_is_no_success),
		cmocka_unit_test(an_etag_that_is_no_md5_says_nothing),
		cmocka_unit_test(a_store_that_says_nothing_is_busy),
		cmocka_unit_test(it_stops_at_once_while_a_store_says_nothing),
		cmocka_unit_test(nobody_there_is_a_connection_lost),
		cmocka_unit_test(
			what_has_piled_up_does_not_wait_when_the_store_is_well),
		cmocka_unit_test(an_item_may_have_a_place_of_its_own),
		cmocka_unit_test(places_that_hang_keep_no_thread_from_ours),
		cmocka_unit_test(a_place_is_one_whatever_the_prefix),
		cmocka_unit_test(a_place_that_fails_is_asked_once_at_a_time),
		cmocka_unit_test(what_waits_moves_to_other_keys),
		cmocka_unit_test(a_public_place_has_no_private_address),
		cmocka_unit_test(a_place_is_kept_as_text),
		cmocka_unit_test(progress_is_told),
		cmocka_unit_test(a_long_file_goes_in_parts),
		cmocka_unit_test(it_goes_on_where_it_was),
		cmocka_unit_test(
			what_was_begun_of_something_else_is_begun_anew),
		cmocka_unit_test(a_part_that_arrives_wrong_is_sent_again),
		cmocka_unit_test(an_error_in_a_200_is_an_error),
		cmocka_unit_test(
			parts_that_were_put_together_unheard_are_found),
		cmocka_unit_test(an_id_that_is_none_is_refused),
		cmocka_unit_test(erasing_gives_up_what_was_begun),
		cmocka_unit_test(texts_are_put_and_dropped_page_by_page),
		cmocka_unit_test(what_cannot_be_removed_is_told),
		cmocka_unit_test(a_trial_leaves_nothing),
		cmocka_unit_test(a_location_is_the_url_of_the_object),
		cmocka_unit_test(a_presigned_url_begins_with_the_location),
		cmocka_unit_test(without_memory_it_says_so_or_tries_again),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
