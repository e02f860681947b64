/** test/unit/receive_apps_test.c -- several apps and several keys in one
 *  receiver, and other ones while it runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oom.h"
#include "receive_aid.h"

enum { OTHER = 1400000001, UNKNOWN = 5, ALL = RECEIVE_ALL_DIALECTS };

#define KEY_2 "key-of-the-other"
#define WH_1  "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define WH_2  "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY"

/* ---- two apps and their senders ---- */

static int two_setup(void **state)
{
	struct rig *g;

	rig_setup(state);
	g = *state;
	g->apps[0].keys[1] = (struct receive_key){WH_1, ALL};
	g->apps[0].n_keys = 2;
	g->apps[1] = (struct receive_app){.id = OTHER,
					  .keys = {{KEY_2, ALL}, {WH_2, ALL}},
					  .n_keys = 2,
					  .dialects = ALL};
	g->config.n_apps = 2;
	return 0;
}

#define TWO_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, two_setup, rig_teardown)

static void set_apps(struct rig *g, size_t n)
{
	assert_int_equal(receive_set_apps(g->receive, g->apps, n), 0);
}

static int gme(struct rig *g, unsigned app, const char *key, unsigned seq)
{
	const char *body = gme_body(app, seq, 1, 1675930605);

	return call(g, "POST", "/", signature_of(key, body, false), body);
}

/** A NULL token: no Sign. */
static int live(struct rig *g, unsigned app, const char *token, unsigned status)
{
	char payload[64];

	snprintf(payload, sizeof(payload), "{\"Status\":%u}", status);
	return call(g, "POST", live_target(app, token, clock_unix_ms() / 1000),
		    NULL, live_body(305, payload));
}

static int trtc(struct rig *g, unsigned app, const char *key, unsigned status)
{
	char body[512], sign[SIGNATURE_TEXT_MAX], fields[256];

	snprintf(body, sizeof(body),
		 "{\"EventGroupId\":3,\"EventType\":305,"
		 "\"CallbackTs\":1752580150082,\"EventInfo\":{"
		 "\"RoomId\":\"635055\",\"EventTs\":1752580150,"
		 "\"EventMsTs\":1752580150081,\"UserId\":\"user1\","
		 "\"TaskId\":\"-m9-bVVU7id\",\"Payload\":{\"Status\":%u}}}",
		 status);
	assert_int_equal(callback_sign_trtc(key, body, strlen(body), sign), 0);
	snprintf(fields, sizeof(fields), "SdkAppId: %u\nSign: %s", app, sign);
	return call(g, "POST", "/", fields, body);
}

/** As the app, signed with `keys` (n of them). */
static int standard(struct rig *g, unsigned app, const char *const *keys,
		    size_t n, unsigned seq)
{
	const struct event e = {.id = 1000 + seq,
				.kind = EVENT_STARTED,
				.unix_ms = 1752580150081,
				.app = app,
				.task = 446946705284000000,
				.room = "100",
				.user = "alice",
				.client_ip = "127.0.0.1",
				.platform = "RESTAPI",
				.seq = seq,
				.file_name = "a/1.mp3"};
	const int64_t now_s = clock_unix_ms() / 1000;
	char fields[512], signatures[256] = "", id[24];
	struct buf body;
	int status;

	buf_init(&body, 4096);
	assert_int_equal(
		callback_write_body(DIALECT_STANDARD, &e, now_s * 1000, &body),
		0);
	snprintf(id, sizeof(id), "%u", 1000 + seq);
	for (size_t i = 0; i < n; i++) {
		char one[CALLBACK_STANDARD_SIGNATURE_MAX];
		const size_t len = strlen(signatures);

		assert_int_equal(callback_sign_standard(keys[i], id, now_s,
							body.data, body.len,
							one),
				 0);
		snprintf(signatures + len, sizeof(signatures) - len, "%s%s",
			 i ? " " : "", one);
	}
	snprintf(fields, sizeof(fields),
		 "webhook-id: %s\nwebhook-timestamp: %lld\n"
		 "webhook-signature: %s",
		 id, (long long)now_s, signatures);
	status = call(g, "POST", "/", fields, buf_str(&body));
	buf_fini(&body);
	return status;
}

static int standard_by(struct rig *g, unsigned app, const char *key,
		       unsigned seq)
{
	return standard(g, app, &key, 1, seq);
}

/* ---- whose is it? ---- */

static void each_app_is_told_by_its_own_key_in_every_dialect(void **state)
{
	struct rig *g = *state;

	rig_open(g);
	assert_int_equal(gme(g, APP, KEY, 0), 200);
	assert_int_equal(gme(g, OTHER, KEY_2, 0), 200);
	assert_int_equal(live(g, APP, KEY, 0), 200);
	assert_int_equal(live(g, OTHER, KEY_2, 0), 200);
	assert_int_equal(trtc(g, APP, KEY, 1), 200);
	assert_int_equal(trtc(g, OTHER, KEY_2, 1), 200);
	assert_int_equal(standard_by(g, APP, WH_1, 1), 200);
	assert_int_equal(standard_by(g, OTHER, WH_2, 2), 200);
	assert_int_equal(g->n_told, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_non_null(
			strstr(g->told[i], i % 2 ? "\"app\":1400000001"
						 : "\"app\":1400000000"));
	assert_int_equal(
		aid_count(&g->a, (struct store_filter){.what = READ_EVENTS,
						       .app = OTHER,
						       .state = -1}),
		4);
}

static void a_key_of_one_app_makes_no_event_of_another(void **state)
{
	struct rig *g = *state;
	int64_t wrong = counter_get(COUNT_received_wrong_app);

	rig_open(g);
	/* It is signed, and names another. */
	assert_int_equal(gme(g, OTHER, KEY, 0), 403);
	assert_string_equal(g->refused_why, "BizID is another app's");
	assert_int_equal(gme(g, APP, KEY_2, 0), 403);
	assert_int_equal(standard_by(g, OTHER, WH_1, 1), 403);
	assert_string_equal(g->refused_why, "data.app is another app's");
	/* An app that nobody knows. */
	assert_int_equal(gme(g, UNKNOWN, KEY, 0), 403);
	assert_int_equal(standard_by(g, UNKNOWN, WH_2, 1), 403);
	assert_int_equal(live(g, UNKNOWN, KEY, 0), 403);
	assert_int_equal(trtc(g, UNKNOWN, KEY, 0), 403);
	assert_int_equal(counter_get(COUNT_received_wrong_app), wrong + 7);
	/* The name chooses the keys, and none of them fits. */
	assert_int_equal(live(g, OTHER, KEY, 0), 401);
	assert_int_equal(trtc(g, OTHER, KEY, 0), 401);
	assert_int_equal(gme(g, UNKNOWN, "no key", 0), 401);
	assert_int_equal(standard_by(g, APP, WH_2, 1), 403);
	assert_int_equal(g->n_told, 0);
	assert_int_equal(n_stored(g), 0);
}

/** A body that is full of names of other apps, and one of an app far behind. */
static void a_body_that_seems_to_be_of_another_app_is_of_whom_it_names(
	void **state)
{
	static const char body[] =
		"{\"x\":{\"BizID\":1400000000,\"app\": 1400000000},"
		"\"BizID\":1400000001,\"RoomID\":\"100\",\"UserID\":\"999\","
		"\"TaskID\":446946705284000000,\"RecordMode\":0,"
		"\"Timestamp\":1,\"EventType\":1,\"Detail\":"
		"{\"SeqNo\":1,\"FileName\":\"a\"}}";
	struct rig *g = *state;

	rig_open(g);
	assert_int_equal(
		call(g, "POST", "/", signature_of(KEY, body, false), body),
		403);
	assert_int_equal(
		call(g, "POST", "/", signature_of(KEY_2, body, false), body),
		200);
	assert_non_null(strstr(g->told[0], "\"app\":1400000001"));
}

/** A large body costs a forger no more than a small one. */
static void of_many_apps_a_large_body_is_taken_by_the_key_of_its_app(
	void **state)
{
	static struct receive_app many[RECEIVE_APPS_MAX];
	static char body[600 << 10];
	struct rig *g = *state;
	const char *text = gme_body(RECEIVE_APPS_MAX, 0, 1, 1);
	char keys[RECEIVE_APPS_MAX][16];

	for (uint32_t i = 0; i < RECEIVE_APPS_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key-%u", i + 1);
		many[i] = (struct receive_app){.id = i + 1,
					       .keys = {{keys[i], ALL}},
					       .n_keys = 1,
					       .dialects = ALL};
	}
	g->config.apps = many;
	g->config.n_apps = RECEIVE_APPS_MAX;
	g->config.max_body = sizeof(body);
	rig_open(g);
	snprintf(body, sizeof(body), "%-*s", (int)sizeof(body) - 1, text);
	assert_int_equal(call(g, "POST", "/",
			      signature_of("key-100", body, false), body),
			 200);
	/* Somebody else's, and so far away that nobody looks. */
	assert_int_equal(
		call(g, "POST", "/", signature_of("key-50", body, false), body),
		401);
	assert_int_equal(
		call(g, "POST", "/", signature_of("key-1", body, false), body),
		403);
	/* Of a small one everybody is asked. */
	assert_int_equal(gme(g, RECEIVE_APPS_MAX, "key-50", 1), 403);
	assert_int_equal(gme(g, 50, "key-50", 1), 200);
	assert_int_equal(g->n_told, 2);
}

static void two_apps_may_have_the_same_key(void **state)
{
	struct rig *g = *state;
	static const char *const both[] = {WH_1, WH_2};

	g->apps[1].keys[0].secret = KEY;
	rig_open(g);
	/* The same bytes twice, but for the app beside them. */
	assert_int_equal(trtc(g, APP, KEY, 0), 200);
	assert_int_equal(trtc(g, OTHER, KEY, 0), 200);
	assert_int_equal(live(g, APP, KEY, 1), 200);
	assert_int_equal(live(g, OTHER, KEY, 1), 200);
	assert_int_equal(gme(g, APP, KEY, 0), 200);
	assert_int_equal(gme(g, OTHER, KEY, 0), 200);
	assert_int_equal(g->n_told, 6);
	assert_int_equal(g->n_duplicates, 0);
	assert_int_equal(trtc(g, OTHER, KEY, 0), 200);
	assert_int_equal(g->n_duplicates, 1);
	/* Signed with the secrets of both: it is of whom it names. */
	assert_int_equal(standard(g, OTHER, both, 2, 1), 200);
	assert_int_equal(standard(g, APP, both, 2, 2), 200);
	assert_non_null(strstr(g->told[6], "\"app\":1400000001"));
	assert_non_null(strstr(g->told[7], "\"app\":1400000000"));
}

static void a_key_verifies_its_dialects_only(void **state)
{
	struct rig *g = *state;

	g->apps[0].keys[0].dialects = 1 << DIALECT_GME;
	g->apps[0].keys[1] = (struct receive_key){"token", 1 << DIALECT_LIVE};
	g->apps[1].n_keys = 0;
	rig_open(g);
	assert_int_equal(gme(g, APP, KEY, 0), 200);
	assert_int_equal(live(g, APP, "token", 0), 200);
	assert_int_equal(gme(g, APP, "token", 1), 401);
	assert_int_equal(live(g, APP, KEY, 1), 401);
	assert_int_equal(trtc(g, APP, KEY, 1), 401);
	assert_string_equal(g->refused_why,
			    "this app has no key for the dialect trtc");
	assert_int_equal(standard_by(g, APP, WH_1, 1), 401);
	assert_string_equal(g->refused_why,
			    "no app has a key for the dialect standard");
	assert_int_equal(g->n_told, 2);
}

static void an_app_takes_its_dialects_only(void **state)
{
	struct rig *g = *state;

	g->apps[0].dialects = 1 << DIALECT_GME;
	g->apps[1].dialects = 1 << DIALECT_LIVE | 1 << DIALECT_STANDARD;
	rig_open(g);
	assert_int_equal(gme(g, APP, KEY, 0), 200);
	assert_int_equal(live(g, OTHER, KEY_2, 0), 200);
	assert_int_equal(live(g, APP, KEY, 0), 403);
	assert_non_null(strstr(g->refused_why, "does not take this dialect"));
	assert_int_equal(gme(g, OTHER, KEY_2, 0), 401);
	assert_int_equal(standard_by(g, APP, WH_1, 1), 401);
	assert_int_equal(standard_by(g, APP, WH_2, 1), 403);
	assert_int_equal(trtc(g, APP, KEY, 0), 400);
	assert_int_equal(g->n_told, 2);
}

static void unsigned_live_is_for_the_app_that_says_so(void **state)
{
	struct rig *g = *state;

	g->apps[0].unsigned_live = true;
	g->apps[1].unsigned_live = true;
	g->apps[1].n_keys = 0;
	rig_open(g);
	assert_int_equal(live(g, APP, NULL, 0), 200);
	/* What has a Sign is verified where there is a token. */
	assert_int_equal(live(g, APP, KEY, 1), 200);
	assert_int_equal(live(g, APP, "wrong", 2), 401);
	assert_int_equal(live(g, OTHER, NULL, 0), 200);
	assert_int_equal(live(g, OTHER, "any", 1), 200);
	g->apps[0].unsigned_live = false;
	set_apps(g, 2);
	assert_int_equal(live(g, APP, NULL, 3), 401);
	assert_int_equal(g->n_told, 4);
}

static void a_public_key_is_no_secret_of_the_other_dialects(void **state)
{
	static const char public[] =
		"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
	struct rig *g = *state;

	g->apps[0].keys[0].secret = public;
	rig_open(g);
	assert_int_equal(gme(g, APP, public, 0), 401);
	assert_int_equal(live(g, APP, public, 0), 401);
	assert_int_equal(trtc(g, APP, public, 0), 401);
	assert_int_equal(
		standard_by(
			g, APP,
			"whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", 1),
		200);
	assert_int_equal(g->n_told, 1);
}

/* ---- other ones while it runs ---- */

static void a_key_is_rotated_without_a_restart(void **state)
{
	struct rig *g = *state;

	rig_open(g);
	assert_int_equal(gme(g, APP, "new", 0), 401);
	/* Both. */
	g->apps[0].keys[1] = (struct receive_key){"new", ALL};
	set_apps(g, 2);
	assert_int_equal(gme(g, APP, KEY, 0), 200);
	assert_int_equal(gme(g, APP, "new", 1), 200);
	assert_int_equal(live(g, APP, KEY, 0), 200);
	assert_int_equal(live(g, APP, "new", 1), 200);
	assert_int_equal(trtc(g, APP, KEY, 2), 200);
	assert_int_equal(trtc(g, APP, "new", 3), 200);
	/* The new one only. */
	g->apps[0].keys[0].secret = "new";
	g->apps[0].n_keys = 1;
	set_apps(g, 2);
	assert_int_equal(gme(g, APP, KEY, 2), 401);
	assert_int_equal(live(g, APP, KEY, 4), 401);
	assert_int_equal(trtc(g, APP, KEY, 5), 401);
	assert_int_equal(gme(g, APP, "new", 2), 200);
	assert_int_equal(gme(g, OTHER, KEY_2, 2), 200);
	/* An app less: its key is nobody's. */
	set_apps(g, 1);
	assert_int_equal(gme(g, OTHER, KEY_2, 3), 401);
	assert_int_equal(live(g, OTHER, KEY_2, 3), 403);
	assert_int_equal(g->n_told, 8);
}

/* ---- their ways on ---- */

static struct sink {
	struct http_server *server;
	char url[2][64]; /* of each app */
	int status[2];
	unsigned n[2];
	char query[512]; /* of the last one */
} sink;

static int add_pair(const char *name, const char *value, void *arg)
{
	char *query = arg;
	const size_t len = strlen(query);

	snprintf(query + len, sizeof(sink.query) - len, "%s=%s;", name, value);
	return 0;
}

static void on_sink(struct http_request *r, void *arg)
{
	const unsigned i = !strcmp(r->path, "/b");
	const struct http_answer a = {.status = sink.status[i]};

	(void)arg;
	sink.n[i]++;
	sink.query[0] = '\0';
	(void)http_query_each(r, add_pair, sink.query);
	http_reply(r, &a);
}

static int sink_setup(void **state)
{
	struct http_server_config config = {.n_listen = 1,
					    .max_body = 1 << 20,
					    .max_connections = 50,
					    .header_us = PATIENCE_US};
	struct addr at;
	struct rig *g;

	two_setup(state);
	g = *state;
	memset(&sink, 0, sizeof(sink));
	assert_int_equal(addr_parse("127.0.0.1:0", &config.listen[0]), 0);
	assert_int_equal(
		http_server_open(g->loop, &config, on_sink, NULL, &sink.server),
		0);
	http_server_addr(sink.server, 0, &at);
	for (int i = 0; i < 2; i++) {
		sink.status[i] = 200;
		snprintf(sink.url[i], sizeof(sink.url[i]),
			 "http://127.0.0.1:%u/%c", (unsigned)addr_port(&at),
			 "ab"[i]);
		g->apps[i].forward = sink.url[i];
	}
	return 0;
}

static int sink_teardown(void **state)
{
	http_server_close(sink.server);
	return rig_teardown(state);
}

#define SINK_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, sink_setup, sink_teardown)

static int64_t pending(struct rig *g)
{
	struct store_totals t;

	store_totals(g->a.s, &t);
	return t.pending;
}

static char log_lines[4096];

static void keep_line(enum log_level level, const char *line, void *arg)
{
	const size_t len = strlen(log_lines);

	(void)arg;
	if (level == LOG_WARN && len < sizeof(log_lines))
		snprintf(log_lines + len, sizeof(log_lines) - len, "%s\n",
			 line);
}

static void keep_log(void)
{
	log_lines[0] = '\0';
	log_set_sink(keep_line, NULL);
}

static void each_app_has_its_own_way_on(void **state)
{
	struct rig *g = *state;

	sink.status[0] = 500; /* of the one, which holds up no other */
	rig_open(g);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(gme(g, APP, KEY, i), 200);
		assert_int_equal(gme(g, OTHER, KEY_2, i), 200);
	}
	UNTIL(g, sink.n[1] == 3 && pending(g) == 3);
	sink.status[0] = 200;
	UNTIL(g, !pending(g));
	assert_int_equal(sink.n[1], 3);
}

static void what_is_pending_waits_for_a_way_that_is_gone(void **state)
{
	struct rig *g = *state;

	sink.status[1] = 500;
	rig_open(g);
	assert_int_equal(gme(g, OTHER, KEY_2, 0), 200);
	assert_int_equal(gme(g, OTHER, KEY_2, 1), 200);
	UNTIL(g, sink.n[1] >= 1);
	keep_log();
	set_apps(g, 1);
	assert_non_null(strstr(log_lines, "app=1400000001 has no forward now "
					  "pending=2:"));
	/* Nor does a restart lose it. */
	g->config.n_apps = 1;
	keep_log();
	rig_again(g);
	assert_non_null(strstr(log_lines, "app=1400000001 has no forward now "
					  "pending=2:"));
	assert_int_equal(gme(g, APP, KEY, 0), 200);
	UNTIL(g, sink.n[0] == 1 && pending(g) == 2);
	/* It is back, and elsewhere. */
	sink.status[1] = 200;
	sink.n[1] = 0;
	keep_log();
	set_apps(g, 2);
	UNTIL(g, !pending(g));
	assert_int_equal(sink.n[1], 2);
	assert_string_equal(log_lines, "");
	log_set_sink(quiet, NULL);
}

static void a_changed_url_is_for_what_is_pending_too(void **state)
{
	struct rig *g = *state;

	sink.status[0] = 500;
	rig_open(g);
	assert_int_equal(gme(g, APP, KEY, 0), 200);
	UNTIL(g, sink.n[0] >= 2); /* the next attempt is in 10 s */
	g->apps[0].forward = sink.url[1];
	set_apps(g, 2);
	UNTIL(g, !pending(g));
	assert_int_equal(sink.n[1], 1);
}

/** Rows as they were when there was one app only. */
static void deliveries_of_an_older_data_folder_go_on(void **state)
{
	static const char facts[] =
		"{\"event\":{\"dialect\":\"gme\",\"app\":1400000001},"
		"\"body\":\"{}\",\"query\":\"old=1\",\"signature\":\"abc\"}";
	struct rig *g = *state;
	struct store_write *w = store_write_new();
	struct event_row event = {.app = OTHER,
				  .unix_ms = clock_unix_ms(),
				  .kind = "received",
				  .once = "1400000001/old",
				  .facts = facts,
				  .facts_len = sizeof(facts) - 1};
	struct delivery_row row = {.endpoint = 1,
				   .lane = 7,
				   .app = OTHER,
				   .created_ms = event.unix_ms,
				   .due_ms = event.unix_ms};
	struct store_result r;

	event.id = store_next_id(g->a.s, IDS_EVENT);
	row.id = store_next_id(g->a.s, IDS_DELIVERY);
	row.event = event.id;
	store_put_event(w, &event, &row, 1);
	assert_int_equal(store_commit_wait(g->a.s, w, &r), 0);
	/* Nobody to take it: it waits, and the log says so. */
	g->config.n_apps = 1;
	keep_log();
	rig_open(g);
	log_set_sink(quiet, NULL);
	assert_non_null(strstr(log_lines, "app=1400000001 has no forward now "
					  "pending=1:"));
	assert_int_equal(pending(g), 1);
	set_apps(g, 2);
	UNTIL(g, !pending(g));
	assert_int_equal(sink.n[0], 0);
	assert_int_equal(sink.n[1], 1);
	assert_string_equal(sink.query, "old=1;");
}

static void live_is_forwarded_with_the_sign_of_the_moment(void **state)
{
	struct rig *g = *state;
	const long long sent_s = clock_unix_ms() / 1000 - 30;
	char hash[HASH_TEXT], *at;
	long long now_s;

	rig_open(g);
	assert_int_equal(call(g, "POST", live_target(OTHER, KEY_2, sent_s),
			      NULL, live_body(305, "{\"Status\":0}")),
			 200);
	UNTIL(g, !pending(g));
	at = strstr(sink.query, ";RequestTime=");
	assert_non_null(at);
	now_s = strtoll(at + 13, NULL, 10);
	assert_true(now_s >= sent_s + 30);
	assert_true(now_s <= clock_unix_ms() / 1000);
	hash_token(KEY_2, now_s, hash);
	assert_non_null(strstr(sink.query, hash));
}

/* ---- a flood of refusals ---- */

static void a_flood_of_refusals_leaves_ten_lines_a_second(void **state)
{
	struct rig *g = *state;
	struct refusals s;
	unsigned lines = 0;

	rig_open(g);
	keep_log();
	refusals_init(&s, g->loop);
	for (int i = 0; i < 1000; i++)
		refusals_say(&s, &(struct refusal){401, "wrong", NULL, 0},
			     NULL);
	for (const char *p = log_lines; (p = strstr(p, "401 wrong")); p++)
		lines++;
	/* Unless the second went by meanwhile. */
	assert_true(lines >= REFUSALS_A_SECOND && lines < 500);
	UNTIL(g, strstr(log_lines, " more were refused in the last second"));
	if (lines == REFUSALS_A_SECOND)
		assert_non_null(strstr(log_lines, "990 more were refused"));
	/* The next second begins anew. */
	keep_log();
	refusals_say(&s, &(struct refusal){403, "again", NULL, 0}, NULL);
	assert_non_null(strstr(log_lines, "403 again"));
	refusals_fini(&s);
	log_set_sink(quiet, NULL);
}

static void the_log_says_who_was_refused(void **state)
{
	static char big[2 * MAX_BODY];
	struct rig *g = *state;
	const char *body = gme_body(77, 0, 1, 1);

	rig_open(g);
	keep_log();
	assert_int_equal(call(g, "POST", "/", "Signature: x", body), 401);
	assert_non_null(strstr(log_lines, "with any key from=127.0.0.1:"));
	assert_non_null(strstr(log_lines, " dialect=gme app=77\n"));
	keep_log();
	assert_int_equal(call(g, "POST", "/", "SdkAppId: 78\nSign: x", body),
			 403);
	assert_non_null(strstr(log_lines, " dialect=trtc app=78\n"));
	keep_log();
	assert_int_equal(call(g, "POST", "/", "SdkAppId: x\nSign: x", body),
			 400);
	assert_non_null(strstr(log_lines, " dialect=trtc\n"));
	keep_log();
	assert_int_equal(call(g, "POST", "/", NULL, body), 400);
	assert_null(strstr(log_lines, "dialect="));
	assert_non_null(strstr(log_lines, " from=127.0.0.1:"));
	keep_log();
	memset(big, ' ', sizeof(big) - 1);
	assert_int_equal(call(g, "POST", "/", NULL, big), 413);
	assert_non_null(strstr(log_lines, "callback refused: 413 the body is "
					  "too large from=127.0.0.1:"));
	log_set_sink(quiet, NULL);
}

/* ---- out of memory ---- */

static struct rig *rig;

static void change_twice(void)
{
	struct rig *g = rig;

	/* New ways, then none: each is taken whole or not at all. */
	g->apps[0].forward = "http://127.0.0.1:1/";
	g->apps[1].exec = "/bin/true";
	if (!receive_set_apps(g->receive, g->apps, 2))
		assert_int_equal(g->receive->apps.n, 2);
	g->apps[0].forward = NULL;
	g->apps[1].exec = NULL;
	while (receive_set_apps(g->receive, g->apps, 1))
		assert_true(mem_fail_happened());
	assert_int_equal(g->receive->apps.n, 1);
}

static void a_change_without_memory_changes_nothing(void **state)
{
	rig = *state;
	rig->config.n_apps = 1;
	rig_open(rig);
	change_twice(); /* endpoints stay for good */
	OOM_SWEEP(change_twice);
	assert_int_equal(gme(rig, APP, KEY, 0), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TWO_TEST(each_app_is_told_by_its_own_key_in_every_dialect),
		TWO_TEST(a_key_of_one_app_makes_no_event_of_another),
		TWO_TEST(
			a_body_that_seems_to_be_of_another_app_is_of_whom_it_names),
		TWO_TEST(
			of_many_apps_a_large_body_is_taken_by_the_key_of_its_app),
		TWO_TEST(two_apps_may_have_the_same_key),
		TWO_TEST(a_key_verifies_its_dialects_only),
		TWO_TEST(an_app_takes_its_dialects_only),
		TWO_TEST(unsigned_live_is_for_the_app_that_says_so),
		TWO_TEST(a_public_key_is_no_secret_of_the_other_dialects),
		TWO_TEST(a_key_is_rotated_without_a_restart),
		SINK_TEST(each_app_has_its_own_way_on),
		SINK_TEST(what_is_pending_waits_for_a_way_that_is_gone),
		SINK_TEST(a_changed_url_is_for_what_is_pending_too),
		SINK_TEST(deliveries_of_an_older_data_folder_go_on),
		SINK_TEST(live_is_forwarded_with_the_sign_of_the_moment),
		TWO_TEST(a_flood_of_refusals_leaves_ten_lines_a_second),
		TWO_TEST(the_log_says_who_was_refused),
		TWO_TEST(a_change_without_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
