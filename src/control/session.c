/** control/session.c -- who has logged in with the admin token. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/session.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/sig.h"

enum { RANDOM_LEN = 32 };

static const char prefix[] = SESSION_COOKIE "=";

int session_open(struct sessions *s, int64_t now_us,
		 char text[SESSION_TEXT_CAP])
{
	uint8_t random[RANDOM_LEN], hash[SIG_SHA256_LEN];
	size_t at = 0;

	static_assert(SESSION_TEXT_CAP == SIG_HEX_CAP(RANDOM_LEN), "it fits");
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return EIO;
	sig_hex(random, sizeof(random), text);
	mem_wipe(random, sizeof(random));
	if (sig_sha256(text, strlen(text), hash))
		return ENOMEM;
	/* a free one is as if it was never used */
	for (size_t i = 1; i < SESSIONS_MAX; i++) {
		if (s->all[i].used_us < s->all[at].used_us)
			at = i;
	}
	memcpy(s->all[at].hash, hash, sizeof(hash));
	s->all[at].opened_us = now_us;
	s->all[at].used_us = now_us;
	return 0;
}

/** The values that a header Cookie has for us, one after another: *at is
 *  where to look on.  false: no more. */
static bool next_value(const char **at, const char **value, size_t *len)
{
	while (*at) {
		const char *pair = *at + strspn(*at, " \t");
		size_t n = strcspn(pair, ";");

		*at = pair[n] ? pair + n + 1 : NULL;
		if (!str_starts_with(pair, prefix))
			continue;
		*value = pair + sizeof(prefix) - 1;
		*len = n - (sizeof(prefix) - 1);
		while (*len && strchr(" \t", (*value)[*len - 1]))
			--*len;
		return true;
	}
	return false;
}

/** -1: none.  All are compared, so that time does not tell which. */
static int find(const struct sessions *s, const char *value, size_t len)
{
	uint8_t hash[SIG_SHA256_LEN];
	int found = -1;

	if (len != SESSION_TEXT_CAP - 1 || sig_sha256(value, len, hash))
		return -1;
	for (int i = 0; i < SESSIONS_MAX; i++) {
		bool is_it = sig_is_equal(hash, s->all[i].hash, sizeof(hash));

		if (is_it && s->all[i].opened_us)
			found = i;
	}
	return found;
}

bool session_use(struct sessions *s, const char *cookie, int64_t now_us)
{
	const char *value;
	size_t len;

	while (next_value(&cookie, &value, &len)) {
		int i = find(s, value, len);

		if (i < 0)
			continue;
		if (now_us - s->all[i].used_us < SESSION_IDLE_US &&
		    now_us - s->all[i].opened_us < SESSION_US) {
			s->all[i].used_us = now_us;
			return true;
		}
		memset(&s->all[i], 0, sizeof(s->all[i]));
	}
	return false;
}

void session_end(struct sessions *s, const char *cookie)
{
	const char *value;
	size_t len;

	while (next_value(&cookie, &value, &len)) {
		int i = find(s, value, len);

		if (i >= 0)
			memset(&s->all[i], 0, sizeof(s->all[i]));
	}
}

void sessions_clear(struct sessions *s)
{
	memset(s, 0, sizeof(*s));
}
