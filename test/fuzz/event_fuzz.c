/** test/fuzz/event_fuzz.c -- an event's facts as a database may hold them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/event.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct event e, again;
	struct buf first, second;
	struct err err;

	if (event_parse_json((const char *)data, len, &e)) {
		assert(!e.files);
		return 0;
	}
	buf_init(&first, 1U << 22);
	buf_init(&second, 1U << 22);
	event_write_json(&e, &first);
	assert(!buf_err(&first));
	assert(!event_parse_json(buf_str(&first), first.len, &again));
	event_write_json(&again, &second);
	assert(!strcmp(buf_str(&first), buf_str(&second)));
	assert(event_id_check(e.room, "room", &err) == 0 || err.text[0]);
	buf_fini(&first);
	buf_fini(&second);
	event_fini(&again);
	event_fini(&e);
	return 0;
}
