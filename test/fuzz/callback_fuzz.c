/** test/fuzz/callback_fuzz.c -- callbacks as strangers send them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** What was read can be kept and read again. */
static void check_facts(const struct callback *c)
{
	struct event again;
	struct buf json;

	buf_init(&json, 1U << 22);
	event_write_json(&c->event, &json);
	assert(!buf_err(&json));
	assert(!event_parse_json(buf_str(&json), json.len, &again));
	assert(again.kind == c->event.kind && again.task == c->event.task);
	event_fini(&again);
	buf_fini(&json);
}

/** What was read can be sent on, and then is the same callback. */
static void check_body(const struct callback *c)
{
	struct callback again;
	struct buf body;
	struct err err;

	buf_init(&body, CALLBACK_BODY_MAX);
	assert(!callback_write_body(c->dialect, &c->event, 1, &body));
	assert(!callback_parse(c->dialect, body.data, body.len, &again, &err));
	if (c->dialect == DIALECT_GME || c->dialect == DIALECT_STANDARD)
		assert(!strcmp(again.key, c->key));
	event_fini(&again.event);
	buf_fini(&body);
}

static void read_as(enum dialect d, const uint8_t *data, size_t len)
{
	struct err err = {0};
	struct callback c;

	if (callback_parse(d, data, len, &c, &err)) {
		assert(err.code && err.text[0] && !c.event.files);
		assert(!strpbrk(err.text, "\r\n"));
		return;
	}
	assert(strlen(c.key) == 64 && c.task[0]);
	check_facts(&c);
	if (callback_has(d, c.event.kind))
		check_body(&c);
	event_fini(&c.event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[128] = {0};

	memcpy(text, data, len < sizeof(text) - 1 ? len : sizeof(text) - 1);
	assert(!callback_verify_gme("key", data, len, text));
	assert(!callback_verify_trtc("key", data, len, text));
	assert(callback_verify_standard(
		"whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh", "evt_1", "1669872112",
		text, data, len, INT64_C(1669872112000)));
	assert(callback_verify_live("token", text, "1669872112", 1));
	assert(callback_verify_live("token", text, text, 1));
	read_as(DIALECT_GME, data, len);
	read_as(DIALECT_LIVE, data, len);
	read_as(DIALECT_TRTC, data, len);
	read_as(DIALECT_STANDARD, data, len);
	return 0;
}
