/** base/crash.c -- let a test kill the process, or fail a call, at a named
 *  place. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

enum { FAULTS_MAX = 16, NAME_MAX_LEN = 48, ERRNO_MAX = 134, PLANS = 8 };

struct place {
	char name[NAME_MAX_LEN];
	int err;	   /* faults: what the call returns */
	int64_t from;	   /* the N-th time, from 1 */
	int64_t to;	   /* faults: the last time */
	_Atomic int64_t n; /* times passed */
};

struct plan {
	struct place crash_at;
	struct place faults[FAULTS_MAX];
};

/* A plan is written before it is published, then only `n`.  They take turns, so
 * that a thread may still look at the one before while a test makes another. */
static struct plan plans[PLANS];
static _Atomic(struct plan *) plan = plans;
static _Atomic bool crash_armed;
static _Atomic bool faults_armed;

/** "ENOSPC" -> ENOSPC; 0 when it is no errno. */
static int errno_parse(const char *name)
{
	for (int e = 1; e < ERRNO_MAX; e++) {
		const char *known = strerrorname_np(e);

		if (known && !strcmp(known, name))
			return e;
	}
	return 0;
}

/** Cut ":N" off the end of `text`; without one N is 1. */
static bool take_count(char *text, int64_t *n)
{
	char *colon = strrchr(text, ':');

	*n = 1;
	if (!colon)
		return true;
	*colon = 0;
	return !str_to_i64(colon + 1, 1, INT64_MAX, n);
}

/** Cut "-M" off the end of "NAME:N-M"; without one there is no end. */
static bool take_end(char *text, int64_t *to)
{
	char *colon = strrchr(text, ':');
	char *dash = colon ? strchr(colon, '-') : NULL;

	*to = INT64_MAX;
	if (!dash)
		return true;
	*dash = 0;
	return !str_to_i64(dash + 1, 1, INT64_MAX, to);
}

static bool parse_crash(const char *value, struct place *p)
{
	return str_copy(p->name, sizeof(p->name), value) &&
	       take_count(p->name, &p->from) && p->name[0];
}

static bool parse_fault(char *value, struct place *p)
{
	char *equals = strchr(value, '=');

	if (!equals)
		return false;
	*equals = 0;
	if (!str_copy(p->name, sizeof(p->name), value) ||
	    !take_end(equals + 1, &p->to) ||
	    !take_count(equals + 1, &p->from) || p->to < p->from)
		return false;
	p->err = errno_parse(equals + 1);
	return p->err != 0;
}

/** A value that is not understood must not pass as "no fault". */
static void refuse(const char *variable)
{
	static const char text[] = ": not understood, see base/crash.h\n";

	if (write(STDERR_FILENO, variable, strlen(variable)) < 0 ||
	    write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		abort();
	abort();
}

static void load_faults(const char *value, struct place *faults)
{
	char text[FAULTS_MAX * NAME_MAX_LEN];
	char *rest = text;
	size_t n = 0;

	if (!str_copy(text, sizeof(text), value))
		refuse("TAPEOP_FAULT");
	for (char *one = strsep(&rest, ","); one; one = strsep(&rest, ",")) {
		if (n == FAULTS_MAX || !parse_fault(one, &faults[n++]))
			refuse("TAPEOP_FAULT");
	}
}

static void clear(struct place *p)
{
	p->name[0] = 0;
	p->err = 0;
	p->from = 0;
	atomic_store(&p->n, 0);
}

__attribute__((constructor)) void crash_reload(void)
{
	const char *at = getenv("TAPEOP_CRASH_AT");
	const char *fault = getenv("TAPEOP_FAULT");
	static size_t turn;
	struct plan *next = &plans[++turn % PLANS];

	clear(&next->crash_at);
	for (size_t i = 0; i < FAULTS_MAX; i++)
		clear(&next->faults[i]);
	at = at && *at ? at : NULL;
	fault = fault && *fault ? fault : NULL;
	if (at && !parse_crash(at, &next->crash_at))
		refuse("TAPEOP_CRASH_AT");
	if (fault)
		load_faults(fault, next->faults);
	atomic_store(&plan, next);
	atomic_store(&crash_armed, at != NULL);
	atomic_store(&faults_armed, fault != NULL);
}

void crash_point(const char *name)
{
	struct place *at;

	if (!atomic_load_explicit(&crash_armed, memory_order_relaxed))
		return;
	at = &atomic_load(&plan)->crash_at;
	if (strcmp(name, at->name) != 0 ||
	    atomic_fetch_add(&at->n, 1) + 1 != at->from)
		return;
	kill(getpid(), SIGKILL);
	for (;;)
		pause(); /* until the signal has arrived */
}

int crash_errno(const char *name)
{
	struct plan *now;

	if (!atomic_load_explicit(&faults_armed, memory_order_relaxed))
		return 0;
	now = atomic_load(&plan);
	for (size_t i = 0; i < FAULTS_MAX; i++) {
		struct place *p = &now->faults[i];
		int64_t n;

		if (strcmp(name, p->name) != 0)
			continue;
		n = atomic_fetch_add(&p->n, 1) + 1;
		if (n >= p->from && n <= p->to)
			return p->err;
	}
	return 0;
}
