/**
 * control/session.h -- who has logged in with the admin token: a cookie for
 * browsers, which can keep no token from scripts.
 *
 * DESIGN
 *   - The cookie is 256 random bits; only its SHA-256 is kept, in memory: a
 *     restart of the server, and a change of its tokens, log everybody out.
 *   - At most SESSIONS_MAX: one more ends the one that was idle longest.
 *   - A session ends SESSION_IDLE_US after its last use, and SESSION_US after
 *     its login.
 *
 * Thread: the control loop's.  Private to control/ and its tests.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_SESSION_H
#define CONTROL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"

enum { SESSIONS_MAX = 64, SESSION_TEXT_CAP = 65 };

#define SESSION_COOKIE	"tapeop_session"
#define SESSION_IDLE_US (INT64_C(12) * 3600 * CLOCK_US_PER_S)
#define SESSION_US	(INT64_C(7) * 24 * 3600 * CLOCK_US_PER_S)

/** Zero it before first use. */
struct sessions {
	struct {
		uint8_t hash[32];
		int64_t opened_us, used_us; /* opened_us 0: free */
	} all[SESSIONS_MAX];
};

/**
 * Begin one.  text: out, the cookie's value.
 * Returns 0, ENOMEM, or EIO: the system has no random numbers.
 */
MUST_CHECK int session_open(struct sessions *s, int64_t now_us,
			    char text[SESSION_TEXT_CAP]);
/** Does a header `Cookie` (NULL: there is none) name one that is open?  That
 *  is a use of it. */
bool session_use(struct sessions *s, const char *cookie, int64_t now_us);
/** End the one that it names. */
void session_end(struct sessions *s, const char *cookie);
/** End all. */
void sessions_clear(struct sessions *s);

#endif
