/** test/unit/config_diff_test.c -- what a file that was read again changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/settings.h"
#include "oom.h"

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct err e = {0};

	if (config_parse("t.yaml", text, strlen(text), &c, &e))
		fail_msg("%s\n%s", e.text, text);
	return c;
}

/* ---- what was met -------------------------------------------------------- */

static const char *const names[CONFIG_WHAT_N] = {
	[CONFIG_LOG_LEVEL] = "log_level",
	[CONFIG_ENDPOINT_NEW] = "endpoint-new",
	[CONFIG_ENDPOINT_CHANGED] = "endpoint-changed",
	[CONFIG_BUCKET_KEYS] = "bucket-keys",
	[CONFIG_ADMIN_TOKEN] = "token",
	[CONFIG_APP_NEW] = "app-new",
	[CONFIG_APP_CHANGED] = "app-changed",
	[CONFIG_ENDPOINT_GONE] = "endpoint-gone",
};

/** "endpoint-changed 1/a; " for each. */
static int write_change(const struct config_change *c, void *arg)
{
	struct buf *out = arg;

	buf_puts(out, names[c->what]);
	if (c->app)
		buf_printf(out, " %" PRIu32, c->app->app.id);
	if (c->endpoint)
		buf_printf(out, "/%s", c->endpoint->name);
	buf_puts(out, "; ");
	return 0;
}

static const char *changes(const struct config *old, const struct config *next)
{
	static char text[2048];
	struct buf b;

	buf_init(&b, sizeof(text) - 1);
	assert_int_equal(config_each_change(old, next, write_change, &b), 0);
	snprintf(text, sizeof(text), "%s", buf_str(&b));
	buf_fini(&b);
	return text;
}

static const char *later(const struct config *running,
			 const struct config *next)
{
	static char text[2048];
	struct buf b;

	buf_init(&b, sizeof(text) - 1);
	config_write_later(running, next, &b);
	snprintf(text, sizeof(text), "%s", buf_str(&b));
	buf_fini(&b);
	return text;
}

#define assert_changes(old, next, want) \
	assert_string_equal(changes(old, next), want)
#define assert_later(old, next, want) \
	assert_string_equal(later(old, next), want)

static void take(struct config *running, struct config *next)
{
	struct err e;

	assert_int_equal(config_reserve(running, next, &e), 0);
	config_take(running, next);
	config_free(next);
}

/* ---- every setting ------------------------------------------------------- */

/** Two values of each setting that is there. */
static const char *const values[SETTING_N][2] = {
	[SET_DATA_DIR] = {"/a", "/b"},
	[SET_LOG_LEVEL] = {"info", "debug"},
	[SET_CALLBACKS_ORIGIN] = {"a.example", "b.example"},
	[SET_HTTP_LISTEN] = {"127.0.0.1:80", "127.0.0.1:81"},
	[SET_HTTP_ADMIN_TOKEN] = {"t1", "t2"},
	[SET_HTTP_PREVIOUS_TOKEN] = {"p1", "p2"},
	[SET_HTTP_TLS_CERT] = {"cert1", "cert2"},
	[SET_HTTP_TLS_KEY] = {"key1", "key2"},
	[SET_HTTP_ORIGINS] = {"https://a.example", "\"*\""},
	[SET_MEDIA_ADDRESS] = {"127.0.0.1", "127.0.0.2"},
	[SET_MEDIA_BIND] = {"127.0.0.3", "0.0.0.0"},
	[SET_MEDIA_UDP_PORT] = {"40000", "0"},
	[SET_MEDIA_MAX_SESSIONS] = {"1000", "2000"},
	[SET_MEDIA_MAX_ROOMS_PER_USER] = {"20", "10"},
	[SET_MEDIA_RTP_PORTS] = {"2000-3000", "2000-3001"},
	[SET_MEDIA_LOOPS] = {"1", "2"},
	[SET_STORAGE_KIND] = {"s3", "local"},
	[SET_S3_ENDPOINT] = {"https://a.example", "https://b.example"},
	[SET_S3_REGION] = {"eu-1", "eu-2"},
	[SET_S3_BUCKET] = {"bucket-a", "bucket-b"},
	[SET_S3_PREFIX] = {"a", "b"},
	[SET_S3_ACCESS_KEY] = {"a1", "a2"},
	[SET_S3_SECRET_KEY] = {"z1", "z2"},
	[SET_S3_PATH_STYLE] = {"true", "false"},
	[SET_STORAGE_ALLOW_PRIVATE] = {"false", "true"},
	[SET_STORAGE_LEFT_AFTER] = {"60s", "61s"},
	[SET_LOCAL_DIR] = {"/c", "/d"},
	[SET_APP_ID] = {"1", "2"},
	[SET_APP_NAME] = {"one", "two"},
	[SET_APP_SECRET_KEY] = {"s1", "s2"},
	[SET_APP_PREVIOUS_SECRET_KEY] = {"o1", "o2"},
	[SET_API_KEY_ID] = {"AKIDa", "AKIDb"},
	[SET_API_KEY_SECRET] = {"a1", "a2"},
	[SET_API_KEY_PREVIOUS] = {"b1", "b2"},
	[SET_API_KEY_ACTIONS] = {"StartRecord", "[StartRecord, StopRecord]"},
	[SET_REC_AUTO] = {"\"off\"", "single"},
	[SET_REC_ON_REQUEST] = {"true", "false"},
	[SET_REC_FORMAT] = {"mp3", "ogg"},
	[SET_REC_SAMPLE_RATE] = {"48000", "24000"},
	[SET_REC_SEGMENT] = {"2h", "1h"},
	[SET_REC_MIC_OFF] = {"split", "silence"},
	[SET_REC_MIC_OFF_AFTER] = {"2s", "3s"},
	[SET_REC_MAX_IDLE] = {"0s", "1s"},
	[SET_REC_HOLD_EMPTY] = {"12h", "1h"},
	[SET_REC_INPUT_LOST_AFTER] = {"10s", "11s"},
	[SET_REC_NO_AUDIO_AFTER] = {"60s", "61s"},
	[SET_REC_KEEP] = {"0s", "30d"},
	[SET_REC_KEEP_HISTORY] = {"90d", "0s"},
	[SET_REC_ZONE] = {"\"+08:00\"", "\"+09:00\""},
	[SET_CB_NAME] = {"a", "b"},
	[SET_CB_URL] = {"http://h/1", "http://h/2"},
	[SET_CB_DIALECT] = {"gme", "live"},
	[SET_CB_KEY] = {"k1", "k2"},
	[SET_CB_PREVIOUS_KEY] = {"q1", "q2"},
	[SET_CB_ENCODING] = {"base64", "hex"},
	[SET_CB_EVENTS] = {"all", "[started]"},
	[SET_CB_TIMEOUT] = {"5s", "6s"},
	[SET_CB_RETRY] = {"\"1s,2s\"", "\"1s,3s\""},
	[SET_CB_ORDER] = {"task", "none"},
	[SET_CB_VERDICT] = {"status", "body"},
	[SET_CB_EXPIRE] = {"7d", "6d"},
	[SET_CB_PRIVATE] = {"false", "true"},
	[SET_CB_IN_FLIGHT] = {"8", "9"},
	[SET_CB_ENABLED] = {"true", "false"},
	[SET_CB_RATE] = {"5", "6"},
	[SET_CB_HANDSHAKE] = {"false", "true"},
	[SET_CB_EXTENDED] = {"false", "true"},
};

static void write_map(enum group_id group, enum setting_id other,
		      struct buf *out)
{
	buf_puts(out, groups[group].kind == GROUP_LIST ? "[{" : "{");
	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group != group)
			continue;
		if (!values[i][0])
			fail_msg("%s: give it two values in this test",
				 settings[i].key);
		buf_printf(out, "%s: %s, ", settings[i].key,
			   values[i][i == other]);
	}
	for (unsigned i = GROUP_ID_ROOT + 1; i < GROUP_N; i++) {
		if (groups[i].parent != group)
			continue;
		buf_printf(out, "%s: ", groups[i].key);
		write_map((enum group_id)i, other, out);
		buf_puts(out, ", ");
	}
	/* one that has the keys of its app */
	if (group == GROUP_ID_CALLBACK)
		buf_puts(out, "}, {name: z, url: http://h/");
	buf_puts(out, groups[group].kind == GROUP_LIST ? "}]" : "}");
}

/** All settings with their first value, but `other`. */
static struct config *load_with(enum setting_id other)
{
	struct config *c;
	struct buf b;

	buf_init(&b, 16384);
	write_map(GROUP_ID_ROOT, other, &b);
	assert_int_equal(buf_err(&b), 0);
	c = load(buf_str(&b));
	buf_fini(&b);
	return c;
}

static void look_at(enum setting_id id)
{
	const struct setting *s = &settings[id];
	struct config *old = load_with(SETTING_N), *next = load_with(id);
	struct buf path;

	buf_init(&path, 256);
	setting_write_path(&serve_table, s, &path);
	if (s->flags & SETTING_RELOAD) {
		if (!*changes(old, next))
			fail_msg("%s is no change", buf_str(&path));
		assert_later(old, next, id == SET_APP_ID ? "app 1 (gone)" : "");
	} else {
		assert_changes(old, next, "");
		assert_later(old, next, buf_str(&path));
	}
	/* What was taken is true, and the rest still differs. */
	take(old, next);
	next = load_with(id);
	assert_changes(old, next, "");
	if (id != SET_APP_ID)
		assert_later(old, next,
			     s->flags & SETTING_RELOAD ? "" : buf_str(&path));
	/* Back again. */
	take(old, next);
	next = load_with(SETTING_N);
	assert_later(old, next, id == SET_APP_ID ? "app 2 (gone)" : "");
	buf_fini(&path);
	config_free(next);
	config_free(old);
}

static void a_change_of_every_setting_is_noticed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SETTING_N; i++) {
		const struct setting *s = &settings[i];

		/* Apps and endpoints are compared as a whole. */
		if (!setting_is_fixed(&serve_table, s) &&
		    !(s->flags & SETTING_RELOAD))
			fail_msg("%s: a list's settings are RELOAD", s->key);
		look_at((enum setting_id)i);
	}
}

static void the_same_in_other_words_is_no_change(void **state)
{
	struct config *a = load("apps: [{id: 7, secret_key: k, callbacks: "
				"[{name: a, url: http://h/, timeout: 5s}]}]\n");
	struct config *b = load("media: {loops: 0}\n"
				"log_level: info\n"
				"apps:\n"
				"  - callbacks:\n"
				"      - {url: http://h/, name: a, key: k, "
				"timeout: 5000ms, events: all}\n"
				"    id: 7\n"
				"    secret_key: k\n");

	(void)state;
	assert_changes(a, b, "");
	assert_later(a, b, "");
	config_free(a);
	config_free(b);
}

/* ---- keys of a bucket ----------------------------------------------------- */

#define BUCKET(name, key)                                       \
	"storage: {s3: {endpoint: \"https://s\", bucket: " name \
	", access_key: "                                        \
	"a, secret_key: " key "}}\n"

static void keys_change_with_their_bucket_only(void **state)
{
	struct config *running = load(BUCKET("one", "k1")), *next;

	(void)state;
	next = load(BUCKET("two", "k2"));
	assert_changes(running, next, "");
	assert_later(running, next,
		     "storage.s3.bucket, the keys of storage.s3");
	take(running, next);
	assert_string_equal(running->s3.secret_key, "k1");
	assert_string_equal(running->s3.bucket, "one");
	next = load(BUCKET("one", "k2"));
	assert_changes(running, next, "bucket-keys; ");
	assert_later(running, next, "");
	take(running, next);
	assert_string_equal(running->s3.secret_key, "k2");
	config_free(running);
}

/* ---- the order ----------------------------------------------------------- */

static const char before[] =
	"http: {admin_token: t}\n"
	"apps:\n"
	"  - {id: 1, secret_key: k, callbacks: [{name: a, url: http://h/}, "
	"{name: b, url: http://h/}, {name: c, url: http://h/}]}\n"
	"  - {id: 2, secret_key: k, callbacks: [{name: a, url: http://h/}]}\n";

static const char after[] =
	"log_level: warn\n"
	"http: {admin_token: u, previous_admin_token: t}\n"
	"apps:\n"
	"  - {id: 3, secret_key: k, callbacks: [{name: a, url: http://h/}]}\n"
	"  - {id: 1, secret_key: k, recording: {format: ogg}, callbacks: "
	"[{name: d, url: http://h/}, {name: b, url: http://h/2}, {name: c, "
	"url: http://h/}]}\n";

static void what_cannot_be_taken_back_comes_last(void **state)
{
	struct config *old = load(before), *next = load(after);

	(void)state;
	assert_changes(old, next,
		       "log_level; endpoint-new 3/a; endpoint-new 1/d; "
		       "endpoint-changed 1/b; token; app-new 3; app-changed 1; "
		       "endpoint-gone 1/a; ");
	assert_later(old, next, "app 2 (gone)");
	config_free(old);
	config_free(next);
}

static int stop_at_token(const struct config_change *c, void *arg)
{
	unsigned *n = arg;

	++*n;
	return c->what == CONFIG_ADMIN_TOKEN ? 42 : 0;
}

static void a_walk_ends_when_it_is_told(void **state)
{
	struct config *old = load(before), *next = load(after);
	unsigned n = 0;

	(void)state;
	assert_int_equal(config_each_change(old, next, stop_at_token, &n), 42);
	assert_int_equal(n, 5);
	config_free(old);
	config_free(next);
}

/* ---- taking -------------------------------------------------------------- */

static void what_was_taken_is_true_and_a_gone_app_stays(void **state)
{
	struct config *running = load(before), *next;

	(void)state;
	take(running, load(after));
	assert_string_equal(running->admin_token, "u");
	assert_string_equal(running->previous_admin_token, "t");
	assert_int_equal(running->log_level, LOG_WARN);
	assert_int_equal(running->n_apps, 3);
	assert_non_null(config_find_endpoint(running, 2, "a"));
	assert_null(config_find_endpoint(running, 1, "a"));
	assert_non_null(config_find_endpoint(running, 3, "a"));

	/* It stays a gone one, also when the same is read again. */
	next = load(after);
	assert_changes(running, next, "");
	assert_later(running, next, "app 2 (gone)");
	take(running, next);

	/* When it comes back, it is one that differs. */
	next = load("apps:\n"
		    "  - {id: 2, secret_key: k, callbacks: [{name: b, url: "
		    "http://h/}]}\n");
	assert_changes(running, next,
		       "log_level; endpoint-new 2/b; token; endpoint-gone "
		       "2/a; ");
	assert_later(running, next, "app 3 (gone), app 1 (gone)");
	take(running, next);
	assert_int_equal(running->n_apps, 3);
	assert_null(running->admin_token);

	/* No app at all. */
	next = load("log_level: info\n");
	assert_changes(running, next, "");
	take(running, next);
	assert_int_equal(running->n_apps, 3);
	config_free(running);
}

static void a_secret_of_a_file_is_compared_by_what_it_is(void **state)
{
	struct config *running = load(before);
	struct config *next = load("http: {admin_token: t}\n"
				   "apps:\n"
				   "  - {id: 1, secret_key: new, "
				   "previous_secret_key: k, callbacks: [{name: "
				   "a, url: http://h/}, {name: b, url: "
				   "http://h/, key: own}, {name: c, url: "
				   "http://h/, key: k}]}\n");

	(void)state;
	/* c has the key that it had */
	assert_changes(running, next,
		       "endpoint-changed 1/a; endpoint-changed 1/b; "
		       "app-changed 1; ");
	assert_string_equal(config_find_endpoint(next, 1, "a")->previous_key,
			    "k");
	assert_string_equal(config_find_endpoint(next, 1, "b")->previous_key,
			    "");
	config_free(running);
	config_free(next);
}

static void the_token_stays_while_the_world_can_reach_the_server(void **state)
{
	struct config *running = load("http: {listen: 0.0.0.0:80, admin_token: "
				      "0123456789abcdef}\n");
	struct config *next = load("http: {listen: 127.0.0.1:80}\n");

	(void)state;
	assert_changes(running, next, "");
	assert_later(running, next, "http.listen, http.admin_token");
	take(running, next);
	assert_string_equal(running->admin_token, "0123456789abcdef");
	next = load("http: {listen: 127.0.0.1:80, admin_token: u}\n");
	assert_changes(running, next, "token; ");
	take(running, next);
	assert_string_equal(running->admin_token, "u");
	config_free(running);
}

static struct config *load_apps(unsigned first, unsigned n)
{
	struct config *c;
	struct buf b;

	buf_init(&b, 65536);
	buf_puts(&b, "apps:\n");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "  - id: %u\n", first + i);
	c = load(buf_str(&b));
	buf_fini(&b);
	return c;
}

static void gone_apps_count_until_the_next_start(void **state)
{
	struct config *running = load_apps(1, CONFIG_APPS_MAX - 1);
	struct config *next = load_apps(1000, 2);
	struct err e = {0};

	(void)state;
	assert_int_equal(config_reserve(running, next, &e), ENOSPC);
	assert_non_null(strstr(e.text, "apps: too many"));
	config_free(next);
	take(running, load_apps(1000, 1));
	assert_int_equal(running->n_apps, CONFIG_APPS_MAX);
	config_free(running);
}

/* ---- no memory ------------------------------------------------------------ */

static void sweep(void)
{
	struct config *running = NULL, *next = NULL;
	struct err e = {0};

	if (!config_parse("b", before, strlen(before), &running, &e) &&
	    !config_parse("n", "log_level: warn", 15, &next, &e) &&
	    !config_reserve(running, next, &e)) {
		config_take(running, next);
		assert_int_equal(running->n_apps, 2);
	}
	config_free(next);
	config_free(running);
}

static void it_survives_running_out_of_memory(void **state)
{
	(void)state;
	OOM_SWEEP(sweep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_of_every_setting_is_noticed),
		cmocka_unit_test(the_same_in_other_words_is_no_change),
		cmocka_unit_test(keys_change_with_their_bucket_only),
		cmocka_unit_test(what_cannot_be_taken_back_comes_last),
		cmocka_unit_test(a_walk_ends_when_it_is_told),
		cmocka_unit_test(what_was_taken_is_true_and_a_gone_app_stays),
		cmocka_unit_test(a_secret_of_a_file_is_compared_by_what_it_is),
		cmocka_unit_test(
			the_token_stays_while_the_world_can_reach_the_server),
		cmocka_unit_test(gone_apps_count_until_the_next_start),
		cmocka_unit_test(it_survives_running_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
