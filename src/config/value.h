/** config/value.h -- one setting's text -> its value, checked by the table. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/attr.h"
#include "base/err.h"
#include "config/settings.h"

/** A place in the file, from 1; 0: a default. */
struct mark {
	size_t line, column;
};

/** A scalar as it stands in the file. */
struct scalar {
	const char *text; /* len bytes and a NUL */
	size_t len;
	bool quoted;
	struct mark at;
};

/** What a setting is set to. */
struct value {
	bool given;	 /* in the file */
	struct mark at;	 /* of the value; of the key for a list */
	size_t n;	 /* items of ADDRS, EVENTS, NAMES, ORIGINS */
	int64_t number;	 /* INT, DURATION [us], BOOL, ENUM (its place),
			    ZONE [minutes], RATE [a minute], NAMES (a
			    bit a place),
			    PORTS: first */
	int64_t number2; /* PORTS: last */
	char *text;	 /* STRING, SECRET (resolved), RETRY; ORIGINS (with a
			    space between two); owned, wiped */
	struct addr addrs[CONFIG_LISTEN_MAX];
	struct mark addr_at[CONFIG_LISTEN_MAX];
	bool kinds[EVENT_KIND_N];
	struct mark kind_at[EVENT_KIND_N];
	bool all; /* EVENTS: "all" is one of the items */
};

/** Write it so that two are the same when they mean the same. */
void value_write(const struct setting *s, const struct value *v,
		 struct buf *out);

/** Wipe and forget. */
void value_clear(struct value *v);

/**
 * Set `v` to the table's default; one without a default becomes empty.
 * Returns 0 or ENOMEM.
 */
MUST_CHECK int value_set_default(const struct setting *s, struct value *v);

/**
 * Read a scalar: the whole value, or one item of ADDRS, EVENTS, NAMES and
 * ORIGINS (then it is added).
 *
 * Returns 0, or EINVAL, ENOMEM and what reading a secret may return, with
 * `e` saying what is wrong and what is permitted, without the value: it may
 * be a secret that stands in the wrong place.
 */
MUST_CHECK int value_read(const struct setting *s, const struct scalar *in,
			  struct value *v, struct err *e);

#endif
