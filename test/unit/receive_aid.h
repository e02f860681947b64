/** test/unit/receive_aid.h -- a receiver over a real store, and its senders. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_RECEIVE_AID_H
#define TEST_UNIT_RECEIVE_AID_H

/* Needs cmocka.h. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "hash_aid.h"
#include "receive/receive.h"
#include "store_aid.h"

enum {
	APP = 1400000000,
	TOLD_MAX = 64,
	LINE_CAP = 1024,
	MAX_BODY = 4096,
	PATIENCE_US = 60 * CLOCK_US_PER_S
};

#define KEY "test-secret-key"

struct rig {
	struct aid a;
	struct loop *loop;
	struct workers *workers;
	struct receive *receive;
	struct receive_config config;
	struct receive_app apps[2]; /* the first one is APP */
	struct addr at;
	struct http_client *client;
	char told[TOLD_MAX][LINE_CAP];
	unsigned n_told, n_duplicates, n_refused;
	int refused_status;
	char refused_why[256];
	/* the newest answer */
	unsigned n_answers;
	int status;
	char answer[8192];
};

#define UNTIL(g, condition)                                       \
	do {                                                      \
		int64_t until_us = clock_now_us() + PATIENCE_US;  \
                                                                  \
		while (!(condition) && clock_now_us() < until_us) \
			loop_turn((g)->loop, 1000);               \
		assert_true(condition);                           \
	} while (0)

/* ---- the receiver ---- */

static inline void on_event(const struct callback *c, const char *line,
			    void *arg)
{
	struct rig *g = arg;

	assert_non_null(c);
	assert_true(g->n_told < TOLD_MAX);
	assert_null(strchr(line, '\n'));
	snprintf(g->told[g->n_told++], LINE_CAP, "%s", line);
}

static inline void on_duplicate(const struct callback *c, void *arg)
{
	struct rig *g = arg;

	assert_non_null(c);
	g->n_duplicates++;
}

static inline void on_refused(int status, const char *why, void *arg)
{
	struct rig *g = arg;

	g->n_refused++;
	g->refused_status = status;
	snprintf(g->refused_why, sizeof(g->refused_why), "%s", why);
}

static inline void rig_open(struct rig *g)
{
	static const struct receive_events events = {
		.event = on_event,
		.duplicate = on_duplicate,
		.refused = on_refused,
	};
	struct err e = {0};

	if (receive_open(g->loop, g->a.s, g->workers, &g->config, &events, g,
			 &g->receive, &e))
		fail_msg("receive_open: %s", e.text);
	receive_addr(g->receive, &g->at);
}

static inline void rig_close(struct rig *g)
{
	receive_close(g->receive);
	g->receive = NULL;
	store_close(g->a.s);
	g->a.s = NULL;
	loop_turn(g->loop, 0);
}

static inline void rig_again(struct rig *g)
{
	rig_close(g);
	aid_open(&g->a);
	rig_open(g);
}

static inline void quiet(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

/** Not open yet: change its config, then rig_open. */
static inline int rig_setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	struct http_client_config config = {.max_connections = 8,
					    .dns_ttl_us = CLOCK_US_PER_S};

	log_set_sink(quiet, NULL);
	assert_non_null(g);
	assert_int_equal(loop_new(&g->loop), 0);
	assert_int_equal(workers_new("dns", 1, &g->workers), 0);
	aid_dir(&g->a);
	aid_open(&g->a);
	config.workers = g->workers;
	assert_int_equal(http_client_new(g->loop, &config, &g->client), 0);
	g->apps[0] = (struct receive_app){.id = APP,
					  .keys = {{KEY, RECEIVE_ALL_DIALECTS}},
					  .n_keys = 1,
					  .dialects = RECEIVE_ALL_DIALECTS};
	g->config = (struct receive_config){
		.apps = g->apps, .n_apps = 1, .max_body = MAX_BODY};
	assert_int_equal(addr_parse("127.0.0.1:0", &g->config.listen), 0);
	*state = g;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *g = *state;

	rig_close(g);
	http_client_free(g->client);
	workers_free(g->workers);
	loop_turn(g->loop, 0);
	loop_free(g->loop);
	nftw(g->a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
	free(g);
	return 0;
}

#define RIG_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

/** Commits fail with this errno's name; NULL: they do not. */
static inline void set_fault(struct rig *g, const char *value)
{
	struct store_result r;

	/* Behind this one the store thread has nothing to do. */
	(void)!store_commit_wait(g->a.s, store_write_new(), &r);
	if (value)
		setenv("TAPEOP_FAULT", value, 1);
	else
		unsetenv("TAPEOP_FAULT");
	crash_reload();
}

static inline size_t n_stored(struct rig *g)
{
	return aid_count(&g->a, (struct store_filter){.what = READ_EVENTS,
						      .state = -1,
						      .limit = 1000});
}

/* ---- its senders ---- */

static inline void on_answer(const struct http_result *r, void *arg)
{
	struct rig *g = arg;

	g->n_answers++;
	g->status = r->status;
	snprintf(g->answer, sizeof(g->answer), "%s", (const char *)r->body);
}

/** `extra`: more header fields, a line each, or NULL.  Returns 0 or ENOMEM. */
static inline int begin_call(struct rig *g, const char *method,
			     const char *target, const char *extra,
			     const char *body)
{
	const char *fields[6] = {"Content-Type: application/json",
				 "Connection: close"};
	char lines[1024], url[8192];
	size_t n_fields = 2;
	struct http_call call = {
		.method = method,
		.url = url,
		.fields = fields,
		.body = body,
		.body_len = strlen(body),
		.timeout_us = PATIENCE_US,
		.allow_private = true,
	};
	struct http_transfer *transfer;
	struct err e = {0};
	int err;

	snprintf(lines, sizeof(lines), "%s", extra ? extra : "");
	for (char *p = lines; *p;) {
		char *end = strchrnul(p, '\n');

		fields[n_fields++] = p;
		p = end + (*end == '\n');
		*end = '\0';
	}
	call.n_fields = n_fields;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s",
		 (unsigned)addr_port(&g->at), target);
	err = http_client_send(g->client, &call, on_answer, g, &e, &transfer);
	assert_int_not_equal(err, EINVAL);
	return err;
}

/** Call and wait for the answer; returns its status. */
static inline int call(struct rig *g, const char *method, const char *target,
		       const char *extra, const char *body)
{
	unsigned before = g->n_answers;

	assert_int_equal(begin_call(g, method, target, extra, body), 0);
	UNTIL(g, g->n_answers > before);
	return g->status;
}

static inline const char *signature_of(const char *key, const char *body,
				       bool hex)
{
	static char field[HASH_TEXT + 16];
	char text[HASH_TEXT];

	hash_sign(key, body, hex, text);
	snprintf(field, sizeof(field), "Signature: %s", text);
	return field;
}

static inline int post_gme(struct rig *g, const char *body)
{
	return call(g, "POST", "/recording", signature_of(KEY, body, false),
		    body);
}

/** A gme body in a static buffer (a few of them). */
static inline const char *gme_body(unsigned app, unsigned seq, unsigned type,
				   long long time_s)
{
	static char texts[4][512];
	static unsigned turn;
	char *text = texts[turn++ % 4];

	snprintf(text, sizeof(texts[0]),
		 "{\"BizID\":%u,\"RoomID\":\"100\",\"UserID\":\"999\","
		 "\"TaskID\":446946705284000000,\"RecordMode\":0,"
		 "\"Timestamp\":%lld,\"EventType\":%u,\"Detail\":"
		 "{\"SeqNo\":%u,\"FileName\":\"a/%u.mp3\"}}",
		 app, time_s, type, seq, seq);
	return text;
}

static inline const char *live_body(unsigned type, const char *payload)
{
	static char texts[4][1024];
	static unsigned turn;
	char *text = texts[turn++ % 4];

	snprintf(text, sizeof(texts[0]),
		 "{\"CallbackCommand\":"
		 "\"Follow.CallbackAfterCloudRecordingChanged\","
		 "\"EventGroupId\":3,\"EventType\":%u,"
		 "\"CallbackTs\":1752580150082,\"EventInfo\":{"
		 "\"RoomId\":\"635055\",\"EventTs\":1752580150,"
		 "\"EventMsTs\":1752580150081,\"UserId\":\"user1\","
		 "\"TaskId\":\"-m9-bVVU7id\",\"Payload\":%s}}",
		 type, payload);
	return text;
}

/** The URL's end; a NULL token: no Sign. */
static inline const char *live_target(unsigned app, const char *token,
				      long long time_s)
{
	static char text[512];
	char hash[HASH_TEXT];
	size_t len;

	snprintf(text, sizeof(text),
		 "/hook?SdkAppid=%u&CallbackCommand="
		 "Follow.CallbackAfterCloudRecordingChanged&contenttype=json"
		 "&ClientIP=127.0.0.1&OptPlatform=a%%20b",
		 app);
	if (!token)
		return text;
	hash_token(token, time_s, hash);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, "&Sign=%s&RequestTime=%lld",
		 hash, time_s);
	return text;
}

#endif
