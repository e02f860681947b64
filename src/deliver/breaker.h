/**
 * deliver/breaker.h -- the circuit breaker of an endpoint.
 *
 *             10 failures in a row          open_us has passed
 *   CLOSED ----------------------------> OPEN -----------------> HALF_OPEN
 *     ^  ^       any success              |  ^    probe failed:      |
 *     |  +--------------------------------+  +---- open_us doubled --+
 *     +------------- probe succeeded --------------------------------+
 *
 * open_us begins with first_us and is at most most_us.
 * Somebody who knows better may end OPEN at any time: breaker_allow.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_BREAKER_H
#define DELIVER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/deliver.h"

enum { BREAKER_FAILURES = 10 };
#define BREAKER_OPEN_US	    (30 * (int64_t)1000000)
#define BREAKER_OPEN_MAX_US (300 * (int64_t)1000000)

/** Zero is closed. */
struct breaker {
	int64_t first_us, most_us; /* fixed; 0: BREAKER_OPEN_US, _MAX_US */
	enum breaker_state state;
	unsigned failures;     /* in a row */
	bool probing;	       /* half open: its one attempt is under way */
	int64_t open_us;       /* length of the newest opening */
	int64_t open_until_us; /* when open */
};

enum breaker_result { BREAKER_OK, BREAKER_FAILED, BREAKER_NEITHER };

/** May an attempt start?  Turns open into half open when its time is up. */
bool breaker_allows(struct breaker *b, int64_t now_us);
/** Open becomes half open now; when the probe fails, the first opening's
 *  length counts again. */
void breaker_allow(struct breaker *b);
/** An attempt starts (breaker_allows said yes). */
void breaker_on_start(struct breaker *b);
/** An attempt has ended.  NEITHER: it says nothing about the endpoint. */
void breaker_on_result(struct breaker *b, enum breaker_result result,
		       int64_t now_us);

#endif
