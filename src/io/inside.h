/** io/inside.h -- what the files of io/ share with each other only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_INSIDE_H
#define IO_INSIDE_H

#include "io/io.h"

/** What the names of methods and header fields are made of: RFC 9110 section
 *  5.6.2. */
#define HTTP_TOKEN                   \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789!#$%&'*+-.^_`|~"

/** Have a write to a closed socket fail instead of ending the process
 *  (sendfile and OpenSSL know no MSG_NOSIGNAL).  Repeatable. */
void http_ignore_sigpipe(void);

/** ::ffff:1.2.3.4 -> 1.2.3.4, anything else stays. */
void addr_unmap(struct addr *a);

/** 1.2.3.4 -> ::ffff:1.2.3.4, anything else stays. */
void addr_map(struct addr *a);

/**
 * A place for memory that all UDP sockets of a loop use in turn, and that
 * loop_free gives back with mem_free; NULL at first.
 */
void **loop_scratch(struct loop *loop);

#endif
