/** test/unit/notify_callback_test.c -- what an endpoint gets, to the byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hash_aid.h"
#include "notify_aid.h"
#include "rough_aid.h"

#define SAMPLE_TASK UINT64_C(446946705284000000)

/** The sample of the vendor's page with its white space taken out. */
static const char gme_sample[] =
	"{\"BizID\":1400000000,\"RoomID\":\"100\",\"UserID\":\"999\","
	"\"TaskID\":446946705284000000,\"RecordMode\":1,"
	"\"Timestamp\":1675930605,\"EventType\":1,\"Detail\":{\"SeqNo\":0,"
	"\"FileName\":\"1400000000_100_999/2023-02-09-16-16-45_"
	"446946705284000000_audio.mp3\"}}";

static void gme_is_the_sample_to_the_byte_and_signed(void **state)
{
	struct rig *g = *state;
	const struct seen *s;
	char want[80];

	endpoint_to(g, "b64", 0, "/cb");
	endpoint_to(g, "hex", 1, "/cb")->encoding = SIGNATURE_HEX;
	rig_begin(g);
	tell(g, SAMPLE_TASK, 0);
	UNTIL(g, g->n_seen == 2);
	for (unsigned i = 0; i < 2; i++) {
		s = &g->seen[i];
		assert_string_equal(s->path, "/cb");
		assert_string_equal(s->query, "");
		assert_string_equal(s->body, gme_sample);
		assert_string_equal(s->type, "application/json");
		assert_string_equal(s->agent, "tapeop");
		assert_string_equal(s->sequence, "0");
		assert_string_equal(s->attempt, "1");
		hash_sign("test-secret-key", s->body, s->target == 1, want);
		assert_string_equal(s->signature, want);
	}
	/* The vector that was computed from the page. */
	hash_sign("test-secret-key", gme_sample, false, want);
	assert_string_equal(want, "EMTFXJmucWK6euDoP44qXaUF5u8=");
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 0);
}

static void gme_tells_of_all_three_steps_of_a_segment(void **state)
{
	static const enum event_kind kinds[] = {EVENT_STARTED, EVENT_COMPLETED,
						EVENT_UPLOADED};
	struct rig *g = *state;
	char want[32];

	endpoint_to(g, "backend", 0, "/");
	rig_begin(g);
	for (unsigned i = 0; i < 3; i++) {
		struct event e = sample_event(64, i);

		e.kind = kinds[i];
		e.mode = MODE_SINGLE;
		e.reason_text[0] = 'x'; /* not for this dialect */
		tell_once(g, &e, NULL);
	}
	UNTIL(g, g->n_seen == 3);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(want, sizeof(want), "\"EventType\":%u,\"Detail\"",
			 i + 1);
		assert_non_null(strstr(g->seen[i].body, want));
		assert_non_null(strstr(g->seen[i].body, "\"RecordMode\":0"));
		assert_null(strstr(g->seen[i].body, "x\""));
	}
	rig_settle(g);
	assert_balance(g, 3, 0, 0, 0);
}

static const struct step live_ok[] = {
	{.status = 200,
	 .body = "{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":"
		 "\"\"}"}};

static struct event live_event(uint64_t task_seq)
{
	struct event e = sample_event(64, task_seq);

	e.kind = EVENT_UPLOAD_STOPPED;
	e.unix_ms = 1752580150081;
	str_copy(e.room, sizeof(e.room), "635055");
	str_copy(e.user, sizeof(e.user), "user1");
	return e;
}

static void live_body_and_url_are_as_the_page_has_them(void **state)
{
	struct rig *g = *state;
	struct event e = live_event(0);
	struct notify_endpoint *ep = endpoint_to(g, "live", 0, "/hook");

	ep->dialect = DIALECT_LIVE;
	ep->verdict = NOTIFY_BY_BODY;
	ep->key = "";
	script_set(&g->targets[0], live_ok, 1);
	rig_begin(g);
	tell_once(g, &e, NULL);
	UNTIL(g, g->n_seen == 1);
	assert_string_equal(g->seen[0].body,
			    "{\"CallbackCommand\":"
			    "\"Follow.CallbackAfterCloudRecordingChanged\","
			    "\"EventGroupId\":3,\"EventType\":305,"
			    "\"CallbackTs\":1675930605000,\"EventInfo\":{"
			    "\"RoomId\":\"635055\",\"EventTs\":1752580150,"
			    "\"EventMsTs\":1752580150081,\"UserId\":\"user1\","
			    "\"TaskId\":\"64\",\"Payload\":{\"Status\":0}}}");
	assert_string_equal(
		g->seen[0].query,
		"SdkAppid=1400000000;CallbackCommand="
		"Follow.CallbackAfterCloudRecordingChanged;contenttype=json;"
		"ClientIP=127.0.0.1;OptPlatform=RESTAPI;");
	assert_string_equal(g->seen[0].signature, "");
	rig_settle(g);
	assert_balance(g, 1, 0, 0, 0);
}

static void live_parameters_are_escaped_behind_the_urls_own_query(void **state)
{
	static const char want[] =
		"POST /a?b=c&SdkAppid=1400000000&CallbackCommand="
		"Follow.CallbackAfterCloudRecordingChanged&contenttype=json"
		"&ClientIP=2001%3Adb8%3A%3A1&OptPlatform=a%20b%26c%3D HTTP/1.1";
	struct rig *g = *state;
	struct event e = live_event(0);
	struct notify_endpoint *ep;
	struct rough r;
	char url[64];

	rough_open(&r, g->loop);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/a?b=c",
		 (unsigned)addr_port(&r.addr));
	ep = endpoint_at(g, "live", url);
	ep->dialect = DIALECT_LIVE;
	ep->key = "";
	rig_begin(g);
	str_copy(e.platform, sizeof(e.platform), "a b&c=");
	str_copy(e.client_ip, sizeof(e.client_ip), "2001:db8::1");
	tell_once(g, &e, NULL);
	UNTIL(g, r.n_requests == 1);
	assert_memory_equal(r.text, want, strlen(want));
	assert_non_null(strstr(r.text, "\r\nContent-Type: application/json"));
	assert_null(strstr(r.text, "\r\nExpect:"));
	rig_settle(g);
	rough_close(&r);
	assert_balance(g, 1, 0, 0, 0);
}

static void a_token_signs_each_attempts_own_time(void **state)
{
	struct rig *g = *state;
	struct event e = live_event(0);
	struct notify_endpoint *ep = endpoint_to(g, "live", 0, "/");

	ep->dialect = DIALECT_LIVE;
	ep->verdict = NOTIFY_BY_BODY;
	ep->key = "xxxxyyyy";
	SCRIPT(g, 0, {.status = 500}, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell_once(g, &e, NULL);
	UNTIL(g, g->n_seen == 2); /* the second one at once */
	clock_pass(g, 10 * S);
	UNTIL(g, g->n_seen == 3);
	for (unsigned i = 0; i < 3; i++) {
		int64_t at_s = 1675930605 + (i == 2 ? 10 : 0);
		char hash[HASH_TEXT], want[160];

		hash_token("xxxxyyyy", at_s, hash);
		snprintf(want, sizeof(want),
			 "OptPlatform=RESTAPI;Sign=%s;RequestTime=%lld;", hash,
			 (long long)at_s);
		assert_non_null(strstr(g->seen[i].query, want));
	}
}

/** Take the time of sending out of a body. */
static const char *without_time(const struct seen *s, const char *name)
{
	static char texts[2][2048];
	static unsigned turn;
	char *text = texts[turn++ % 2];
	char *at;

	snprintf(text, sizeof(texts[0]), "%s", s->body);
	at = strstr(text, name);
	assert_non_null(at);
	at += strlen(name);
	memmove(at, at + strspn(at, "0123456789"),
		strlen(at + strspn(at, "0123456789")) + 1);
	return text;
}

static void only_the_time_of_sending_differs_between_attempts(void **state)
{
	struct rig *g = *state;
	struct event e = live_event(3);
	struct notify_endpoint *ep;
	char id[24];

	endpoint_to(g, "gme", 0, "/");
	ep = endpoint_to(g, "live", 1, "/");
	ep->dialect = DIALECT_LIVE;
	ep->key = "";
	ep->kinds[EVENT_STARTED] = false;
	for (unsigned i = 0; i < 2; i++)
		SCRIPT(g, i, {.status = 500}, {.status = 500}, {.status = 500},
		       {.status = 200});
	rig_begin(g);
	tell_once(g, &e, NULL);
	e = sample_event(64, 4);
	tell_once(g, &e, NULL);
	clock_pass(g, 30 * S);
	UNTIL(g, g->n_seen == 8);
	for (unsigned t = 0; t < 2; t++) {
		const char *name = t ? "\"CallbackTs\":" : "\"Timestamp\":";
		const struct seen *first = NULL;
		unsigned n = 0;

		for (unsigned i = 0; i < 8; i++) {
			const struct seen *s = &g->seen[i];

			if (s->target != t)
				continue;
			n++;
			first = first ? first : s;
			assert_string_equal(without_time(s, name),
					    without_time(first, name));
			assert_string_equal(s->query, first->query);
			assert_string_equal(s->id, first->id);
			assert_string_equal(s->sequence, t ? "3" : "4");
			assert_int_equal(s->attempt[0], '0' + (int)n);
			if (n > 2)
				assert_string_not_equal(s->body, first->body);
		}
		assert_int_equal(n, 4);
		snprintf(id, sizeof(id), "%u", t ? 1 : 2);
		assert_string_equal(first->id, id);
	}
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 0);
}

static void switches_and_dialects_choose_what_is_sent(void **state)
{
	struct rig *g = *state;
	int64_t events = counter_get(COUNT_events);
	struct notify_endpoint *ep;
	struct event e;

	endpoint_to(g, "no-uploads", 0, "/")->kinds[EVENT_UPLOADED] = false;
	endpoint_to(g, "other-app", 1, "/")->app = APP + 1;
	ep = endpoint_to(g, "live", 2, "/");
	ep->dialect = DIALECT_LIVE;
	rig_begin(g);
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		e = sample_event(64, i);
		e.kind = (enum event_kind)i;
		tell_once(g, &e, NULL);
	}
	/* gme: started, completed, test; live: started, upload_failing, five
	 * of the task's, test; nothing of the rest. */
	UNTIL(g, g->n_seen == 11 && !g->committing);
	rig_settle(g);
	for (unsigned i = 0; i < 11; i++)
		assert_int_not_equal(g->seen[i].target, 1);
	assert_int_equal(counter_get(COUNT_events), events + EVENT_KIND_N);
	assert_int_equal(
		aid_count(&g->a, (struct store_filter){.what = READ_EVENTS,
						       .state = -1}),
		EVENT_KIND_N);
	assert_balance(g, 11, 0, 0, 0);
}

static void an_event_that_may_happen_once_is_told_once(void **state)
{
	struct rig *g = *state;
	int64_t events = counter_get(COUNT_events);
	struct event e = sample_event(64, 0);

	endpoint_to(g, "backend", 0, "/");
	rig_begin(g);
	tell_once(g, &e, "64/999/0/started");
	tell_once(g, &e, "64/999/0/started");
	UNTIL(g, !g->committing);
	assert_int_equal(g->settled.err, 0);
	assert_int_equal(g->settled.repeated, 1);
	rig_settle(g);
	tell(g, 64, 1);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_string_equal(g->seen[1].sequence, "1");
	assert_int_equal(g->n_seen, 2);
	assert_int_equal(counter_get(COUNT_events), events + 2);
	assert_balance(g, 2, 0, 0, 0);
}

static void a_url_of_the_longest_kind_has_room_for_the_parameters(void **state)
{
	struct rig *g = *state;
	struct event e = live_event(0);
	char path[2100] = "/hook?long=";
	struct notify_endpoint *ep;
	size_t len;

	len = strlen("http://127.0.0.1:") + 5;
	memset(path + strlen(path), 'x', 2083 - len - strlen(path));
	ep = endpoint_to(g, "live", 0, path);
	ep->dialect = DIALECT_LIVE;
	rig_begin(g);
	tell_once(g, &e, NULL);
	UNTIL(g, g->n_seen == 1);
	rig_settle(g);
	assert_balance(g, 1, 0, 0, 0);
}

static void bad_endpoints_are_refused_and_change_nothing(void **state)
{
	struct notify_endpoint_info info;
	struct rig *g = *state;
	struct notify_endpoint e;
	struct err why = {0};

	endpoint_to(g, "good", 0, "/?token=abc");
	rig_begin(g);
	e = g->endpoints[0];
	e.name = "not good";
	assert_int_equal(notify_set_endpoint(g->n, &e, &why), EINVAL);
	assert_string_equal(why.field, "name");
	e.name = "good";
	e.url = "ftp://127.0.0.1/";
	assert_int_equal(notify_set_endpoint(g->n, &e, &why), EINVAL);
	e.url = g->endpoints[0].url;
	e.max_in_flight = 65;
	assert_int_equal(notify_set_endpoint(g->n, &e, &why), EINVAL);
	assert_string_equal(why.field, "max_in_flight");
	e.max_in_flight = 1;
	e.timeout_us = -1;
	assert_int_equal(notify_set_endpoint(g->n, &e, &why), EINVAL);
	assert_string_equal(why.field, "timeout");
	e.timeout_us = 0;
	e.expire_us = -1;
	assert_int_equal(notify_set_endpoint(g->n, &e, &why), EINVAL);
	assert_string_equal(why.field, "expire_after");
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_string_equal(info.name, "good");
	assert_null(strchr(info.url, '?')); /* a query may hold a secret */
	assert_string_equal(notify_endpoint_name(g->n, info.id), "good");
	assert_string_equal(notify_endpoint_name(g->n, info.id + 1), "");
	assert_false(notify_endpoint_at(g->n, 1, &info));
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	assert_string_equal(g->seen[0].query, "token=abc;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(gme_is_the_sample_to_the_byte_and_signed),
		RIG_TEST(gme_tells_of_all_three_steps_of_a_segment),
		RIG_TEST(live_body_and_url_are_as_the_page_has_them),
		RIG_TEST(live_parameters_are_escaped_behind_the_urls_own_query),
		RIG_TEST(a_token_signs_each_attempts_own_time),
		RIG_TEST(only_the_time_of_sending_differs_between_attempts),
		RIG_TEST(switches_and_dialects_choose_what_is_sent),
		RIG_TEST(an_event_that_may_happen_once_is_told_once),
		RIG_TEST(a_url_of_the_longest_kind_has_room_for_the_parameters),
		RIG_TEST(bad_endpoints_are_refused_and_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
