/** wire/tc3_inside.h -- what the files of wire/tc3 share; private. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_TC3_INSIDE_H
#define WIRE_TC3_INSIDE_H

#include "wire/tc3.h"

/** A run of bytes in a text, not terminated. */
struct tc3_slice {
	const char *at;
	size_t len;
};

/** Copy a word of 1..cap - 1 bytes out of `allowed`; false: it is none. */
MUST_CHECK bool tc3_copy_word(struct tc3_slice s, const char *allowed, char *to,
			      size_t cap);

/** A secret id, as tc3_copy_word. */
MUST_CHECK bool tc3_copy_id(struct tc3_slice s, char to[TC3_SECRET_ID_MAX + 1]);

/** Read a time [s]. */
MUST_CHECK enum tc3_fault tc3_read_timestamp(const char *text,
					     int64_t *timestamp_s);

/** TC3_OK or TC3_EXPIRED. */
enum tc3_fault tc3_check_window(int64_t timestamp_s, int64_t now_unix_s);

/** How long a host is without its port; "[::1]:80" is 5. */
size_t tc3_host_len(const char *host);

/** The fault that an errno of ours is to a client. */
enum tc3_fault tc3_fault_of(int err);

#endif
