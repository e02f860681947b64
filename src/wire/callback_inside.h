/** wire/callback_inside.h -- what the files of wire/callback share; private. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_CALLBACK_INSIDE_H
#define WIRE_CALLBACK_INSIDE_H

#include <jansson.h>

#include "wire/callback.h"

/** UserId of who records, in trtc and live: the robot of the vendor. */
#define CALLBACK_RECORDER "tapeop"

/* callback_body.c */

/** As callback_write_body; `extended` adds the data of standard. */
MUST_CHECK int callback_body(enum dialect d, const struct event *e,
			     int64_t now_ms, bool extended, struct buf *body);

/* callback_data.c */

/** The body of standard.  Check buf_err. */
void callback_write_standard(const struct event *e, struct buf *body);

/** Name -> kind; EVENT_KIND_N when we have no word for it. */
enum event_kind callback_type_kind(const char *name);

/* callback_parse.c */

/** Hash what makes a callback the same again; `facts` is JSON. */
MUST_CHECK int callback_finish_key(const struct buf *facts, struct callback *c);

/** What is not the body's fault: 0, or an errno of ours as it is with `why`. */
int callback_sorry(int err, struct err *why);

/* callback_parse_standard.c */
MUST_CHECK int callback_parse_standard(const json_t *root, struct callback *c,
				       struct err *err);

#endif
