/** test/unit/receive_oom_test.c -- the receiver with each allocation failing
 *  once (jansson's not: it aborts by itself). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/receive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "oom.h"
#include "receive_aid.h"

static struct rig *rig;

/** Forget what was stored, so that every run begins alike. */
static void clear(struct rig *g)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/tapeop.db", g->a.dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "PRAGMA synchronous=OFF;"
				      "DELETE FROM attempt;"
				      "DELETE FROM delivery;"
				      "DELETE FROM event",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
}

static int open_receiver(struct rig *g)
{
	static const struct receive_events events = {
		.event = on_event,
		.duplicate = on_duplicate,
		.refused = on_refused,
	};
	struct err e = {0};
	int err = receive_open(g->loop, g->a.s, g->workers, &g->config, &events,
			       g, &g->receive, &e);

	if (err) {
		assert_int_equal(err, ENOMEM);
		assert_int_equal(e.code, err);
		assert_true(e.text[0] != '\0');
		return err;
	}
	receive_addr(g->receive, &g->at);
	return 0;
}

/** As a sender does: again until it is taken. */
static void send_until_taken(struct rig *g, const char *target,
			     const char *signature, const char *body)
{
	unsigned told = g->n_told;

	for (int i = 0; i < 8; i++) {
		unsigned before = g->n_answers;

		g->status = 0;
		if (!begin_call(g, "POST", target, signature, body))
			UNTIL(g, g->n_answers > before);
		if (g->status == 200)
			break;
		/* Out of memory is no fault of the sender's. */
		if (g->status && g->status != 503)
			fail_msg("%d: %s", g->status, g->answer);
	}
	assert_int_equal(g->status, 200);
	assert_int_equal(g->n_told, told + 1);
}

static int64_t live_at_rest; /* what lives when all has ended; 0: not known */

static void whole_life(void)
{
	struct rig *g = rig;
	char signature[HASH_TEXT + 16], body[512];
	struct store_result r;

	g->n_told = 0;
	if (!open_receiver(g)) {
		snprintf(body, sizeof(body), "%s", gme_body(APP, 0, 1, 1));
		snprintf(signature, sizeof(signature), "%s",
			 signature_of(KEY, body, false));
		send_until_taken(g, "/", signature, body);
		send_until_taken(
			g, live_target(APP, KEY, clock_unix_ms() / 1000), NULL,
			live_body(310,
				  "{\"Status\":0,\"FileList\":[\"a\"],"
				  "\"FileMessage\":[{\"FileName\":\"a\","
				  "\"UserId\":\"\",\"TrackType\":\"audio\","
				  "\"MediaId\":\"mix\",\"StartTimeStamp\":1,"
				  "\"EndTimeStamp\":2}]}"));
		assert_non_null(strstr(g->told[1], "\"files\":[{"));
		g->status = 0;
		if (!begin_call(g, "GET", "/v1/recordings", NULL, "")) {
			unsigned before = g->n_answers;

			UNTIL(g, g->n_answers > before);
		}
		assert_true(g->status == 200 || g->status == 503 || !g->status);
	}
	receive_close(g->receive);
	g->receive = NULL;
	/* Only one allocation fails. */
	while (store_commit_wait(g->a.s, store_write_new(), &r))
		;
	loop_turn(g->loop, 0);
	clear(g);
	/* A program or a look-up that is still under way ends by itself. */
	if (!live_at_rest)
		live_at_rest = mem_live();
	for (int i = 0; i < 1000 && mem_live() > live_at_rest; i++)
		loop_turn(g->loop, 10000);
}

static void no_memory_refuses_but_loses_nothing(void **state)
{
	rig = *state;
	rig->apps[0].exec = "/bin/true";
	whole_life();
	OOM_SWEEP(whole_life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(no_memory_refuses_but_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
