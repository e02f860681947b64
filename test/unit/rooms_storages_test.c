/** test/unit/rooms_storages_test.c -- buckets that callers name for their tasks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms/private.h"
#include "rooms_aid.h"

enum { TASK = 704 };

/** A store that takes connections and never answers. */
struct silence {
	int fd;
	char endpoint[64];
};

static void begin_silence(struct silence *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (const struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(s->fd, 100), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
	snprintf(s->endpoint, sizeof(s->endpoint), "http://127.0.0.1:%u",
		 (unsigned)ntohs(at.sin_port));
}

static struct upload_s3 bucket_at(const char *endpoint, const char *prefix)
{
	return (struct upload_s3){.endpoint = endpoint,
				  .region = "us-east-1",
				  .bucket = "bucket",
				  .prefix = prefix,
				  .access_key = "AK",
				  .secret_key = "hush",
				  .path_style = true};
}

/** A finished task whose only file is in this bucket (its row's text), and is
 *  being erased. */
static void put_erasing(struct stage *st, const char *settings)
{
	const struct storage_row bucket = {1, APP, settings};
	struct task_row t = aid_task(TASK);
	struct segment_row s;
	struct store_write *w;

	aid_open(&st->a);
	t.state = TASK_STOPPED;
	t.stopped_ms = 2000;
	t.finished_ms = 3000;
	t.storage = 1;
	s = aid_segment(&st->a, TASK, "alice", 0);
	w = aid_write();
	store_put_storage(w, &bucket);
	store_put_task(w, &t);
	store_put_segment(w, &s);
	s.state = SEG_ERASING;
	s.uploaded_ms = 7000;
	s.stored_in = UPLOAD_S3;
	store_set_segment(w, &s);
	aid_commit(&st->a, w, 0);
	store_close(st->a.s);
}

static void a_start_does_not_wait_for_a_bucket(void **state)
{
	struct stage *st = *state;
	struct upload_s3 s3;
	struct silence store;
	struct buf settings;

	begin_silence(&store);
	s3 = bucket_at(store.endpoint, "");
	buf_init(&settings, 4096);
	assert_int_equal(upload_s3_write(&s3, &settings), 0);
	st->deaf = true;
	st->config.private_storage = true;
	put_erasing(st, buf_str(&settings));
	buf_fini(&settings);
	begin(st);
	/* it is asked, behind the start: nobody has answered */
	assert_int_equal(st->r->erasures, 1);
	assert_int_equal(segments_in(st, TASK, NULL, SEG_ERASING), 1);
	join(st, "room", "alice");
	finish(st, record(st, "room"));
	assert_int_equal(st->r->erasures, 1);
	end(st); /* nor does a stop wait */
	close(store.fd);
}

static void a_bucket_that_cannot_be_read_stops_nobody(void **state)
{
	struct stage *st = *state;

	st->deaf = true;
	put_erasing(st, "{\"endpoint\":7}");
	begin(st);
	UNTIL(st, st->r->erasures == 0);
	assert_int_equal(segments_in(st, TASK, NULL, SEG_ERASING), 1);
	assert_false(storages_know(st->r, 1));
	join(st, "room", "alice");
	finish(st, record(st, "room"));
}

/* ---- how many are known ------------------------------------------------------- */

static void on_started(const struct err *e, const struct task_info *t,
		       void *arg)
{
	(void)t;
	*(struct err *)arg = *e;
}

static int start_in(struct stage *st, const struct upload_s3 *s3, bool only_one,
		    struct err *e)
{
	const struct task_wish w = {.app = APP,
				    .room = "room",
				    .mode = MODE_SINGLE,
				    .format = -1,
				    .max_idle_ms = -1,
				    .hold_empty_ms = -1,
				    .only_one = only_one,
				    .storage = s3,
				    .client_ip = START_IP,
				    .platform = "RESTAPI"};

	*e = (struct err){.code = -1};
	rooms_task_start(st->r, &w, on_started, e);
	UNTIL(st, e->code != -1);
	return e->code;
}

static size_t known(const struct stage *st)
{
	size_t n = 0;

	for (const struct bucket *b = st->r->buckets; b; b = b->next)
		n++;
	return n;
}

static void only_a_task_that_began_makes_a_bucket_known(void **state)
{
	struct stage *st = *state;
	struct upload_s3 s3 = bucket_at("https://s3.example.com", "");
	struct upload_s3 other = s3;
	struct err e;

	begin(st);
	join(st, "room", "alice");
	assert_int_equal(start_in(st, &s3, false, &e), 0);
	assert_int_equal(known(st), 1);
	other.secret_key = "another";
	assert_int_equal(start_in(st, &other, true, &e), EEXIST);
	assert_int_equal(known(st), 1);
	/* a prefix makes no other bucket, but another task */
	assert_int_equal(start_in(st, &s3, false, &e), EEXIST);
	s3.prefix = "calls/";
	assert_int_equal(start_in(st, &s3, false, &e), 0);
	assert_int_equal(known(st), 1);
	assert_int_equal(start_in(st, &other, false, &e), 0);
	assert_int_equal(known(st), 2);
	end(st);
	begin(st); /* they come back with their tasks */
	assert_int_equal(known(st), 2);
	assert_int_equal(st->r->last_bucket, 2);
}

static void an_app_has_a_thousand_at_most(void **state)
{
	struct stage *st = *state;
	char key[32];
	struct upload_s3 s3 = bucket_at("https://s3.example.com", "");
	uint64_t id, again;
	struct err e = {0};

	begin(st);
	s3.access_key = key;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "AK%d", i);
		assert_int_equal(storages_take(st->r, APP, &s3, &id, &e), 0);
		assert_int_equal(storages_take(st->r, APP, &s3, &again, &e), 0);
		assert_int_equal(id, again);
	}
	snprintf(key, sizeof(key), "AK-one-more");
	assert_int_equal(storages_take(st->r, APP, &s3, &id, &e), EBUSY);
	assert_non_null(strstr(e.text, "1000 different buckets"));
	assert_int_equal(storages_take(st->r, APP + 1, &s3, &id, &e), 0);
}

/* ---- one that fails ------------------------------------------------------------- */

static void a_bucket_that_is_not_there_is_given_a_rest(void **state)
{
	struct stage *st = *state;
	const struct upload_s3 s3 = bucket_at("https://s3.example.com", "");
	struct upload_storage *open;
	struct storages s;
	struct err e = {0};
	uint64_t id;

	begin(st);
	assert_int_equal(storages_take(st->r, APP, &s3, &id, &e), 0);
	storages_init(&s, st->r);
	storages_begin(&s, id, "a/");
	assert_int_equal(storages_get(&s, SLOT_OWN, &open, &e), 0);
	storages_told(&s, SLOT_OWN, EACCES); /* it has answered */
	assert_int_equal(storages_get(&s, SLOT_OWN, &open, &e), 0);
	storages_told(&s, SLOT_OWN, ETIMEDOUT);
	assert_int_equal(storages_get(&s, SLOT_OWN, &open, &e), EAGAIN);
	storages_begin(&s, id, "b/"); /* whatever the prefix */
	assert_int_equal(storages_get(&s, SLOT_OWN, &open, &e), EAGAIN);
	assert_int_equal(storages_get(&s, SLOT_LOCAL, &open, &e), 0);
	assert_true(st->r->buckets->rest_until_us > clock_now_us());
	storages_told(&s, SLOT_OWN, ETIMEDOUT);
	assert_int_equal(st->r->buckets->rest_us, 120 * CLOCK_US_PER_S);
	for (int i = 0; i < 10; i++)
		storages_told(&s, SLOT_OWN, ECONNREFUSED);
	assert_int_equal(st->r->buckets->rest_us, 600 * CLOCK_US_PER_S);
	storages_told(&s, SLOT_OWN, 0);
	assert_int_equal(st->r->buckets->rest_us, 0);
	storages_begin(&s, id + 1, "");
	assert_int_equal(storages_get(&s, SLOT_OWN, &open, &e), ENXIO);
	assert_int_equal(storages_get(&s, SLOT_BUCKET, &open, &e), ENXIO);
	assert_non_null(strstr(e.text, "storage.s3 must say where"));
	storages_fini(&s);
}

/* ---- one that can never take them ------------------------------------------------ */

static struct erase_result erase(struct stage *st, const char *user)
{
	const struct erase_wish w = {.app = APP,
				     .room = "room",
				     .user = user,
				     .client_ip = "127.0.0.1"};

	return erase_as(st, &w);
}

/** Files that were told as failing. */
static size_t failing_in(struct stage *st, uint64_t task)
{
	struct store_rows rows = segments_of(st, task);
	size_t n = 0;

	for (size_t i = 0; i < rows.n; i++)
		n += rows.segments[i].is_failing;
	store_rows_free(&rows);
	return n;
}

/** alice and bob are recorded into a bucket whose address is refused; gives
 *  the task, which is stopped and cannot be finished. */
static uint64_t record_stuck(struct stage *st, const char *endpoint)
{
	const struct upload_s3 s3 = bucket_at(endpoint, "");
	struct task_info info;
	struct err e;
	struct answer a;
	uint64_t task;

	join(st, "room", "alice");
	join(st, "room", "bob");
	assert_int_equal(start_in(st, &s3, false, &e), 0);
	task = st->r->last_task_id;
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1 &&
			  segments_in(st, task, "bob", SEG_RECORDING) == 1);
	stop(st, task, &a);
	UNTIL(st, a.calls);
	UNTIL(st, rooms_task_info(st->r, task, &info) && info.stopped_ms &&
			  failing_in(st, task) == 2);
	return task;
}

/** Asked until they are not just being tried. */
static struct erase_result erase_soon(struct stage *st, const char *user)
{
	struct erase_result r = erase(st, user);

	for (int i = 0; i < 1000 && r.err.code == EBUSY; i++) {
		turn_for(st, 10 * 1000);
		r = erase(st, user);
	}
	return r;
}

static void what_can_never_be_stored_can_be_erased(void **state)
{
	struct stage *st = *state;
	struct erase_result r;
	struct silence store;
	uint64_t task;

	begin_silence(&store);
	st->deaf = true;
	begin(st);
	task = record_stuck(st, store.endpoint);
	r = erase_soon(st, "bob");
	assert_int_equal(r.err.code, 0);
	assert_int_equal(r.erased, 1);
	assert_int_equal(segments_in(st, task, "bob", -1), 0);
	assert_int_equal(files_below(st, "spool"), 1);
	/* alice's is tried on, as is the task */
	assert_true(is_there(st, task));
	assert_int_equal(segments_in(st, task, "alice", SEG_CLOSED), 1);
	assert_int_equal(upload_pending(st->r->upload), 1);
	r = erase_soon(st, NULL);
	assert_int_equal(r.err.code, 0);
	assert_int_equal(r.erased, 1);
	UNTIL(st, !is_there(st, task));
	assert_int_equal(segments_in(st, task, NULL, -1), 0);
	assert_int_equal(files_below(st, "spool"), 0);
	assert_int_equal(upload_pending(st->r->upload), 0);
	assert_true(task_of_store(st, task).finished_ms > 0);
	close(store.fd);
}

static void what_was_let_go_in_vain_is_stored_after_all(void **state)
{
	struct stage *st = *state;
	struct erase_result r;
	struct silence store;
	uint64_t task;

	begin_silence(&store);
	st->deaf = true;
	begin(st);
	task = record_stuck(st, store.endpoint);
	do { /* until they are not just being tried */
		turn_for(st, 10 * 1000);
		set_fault("store.commit=EIO:1-1");
		r = erase(st, NULL);
		set_fault(NULL);
	} while (r.err.code == EBUSY);
	assert_int_equal(r.err.code, EIO);
	assert_int_equal(segments_in(st, task, NULL, SEG_CLOSED), 2);
	assert_int_equal(upload_pending(st->r->upload), 2);
	assert_true(is_there(st, task));
	end(st);
	begin(st); /* it is as stuck as before */
	assert_int_equal(upload_pending(st->r->upload), 2);
	close(store.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(a_start_does_not_wait_for_a_bucket),
		STAGE_TEST(a_bucket_that_cannot_be_read_stops_nobody),
		STAGE_TEST(only_a_task_that_began_makes_a_bucket_known),
		STAGE_TEST(an_app_has_a_thousand_at_most),
		STAGE_TEST(a_bucket_that_is_not_there_is_given_a_rest),
		STAGE_TEST(what_can_never_be_stored_can_be_erased),
		STAGE_TEST(what_was_let_go_in_vain_is_stored_after_all),
	};

	return RUN_STAGES(tests);
}
