/**
 * intake/recover.h -- packets that did not come, out of the copies that later
 * ones bring.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_RECOVER_H
#define INTAKE_RECOVER_H

#include "intake/payload.h"
#include "intake/ring.h"
#include "intake/stream.h"
#include "intake/timeline.h"

/**
 * Put the older blocks of a payload into the ring, marked redundant, where
 * their numbers are missing and their turn is to come.
 *
 * A block says its time, not its number (RFC 2198).  Tried are the number as
 * many packets before as fit into that time, then as many as there are blocks
 * from it to the last (a pause lies between).  One whose time lies upon
 * a neighbour's there is dropped.  A full ring takes none.
 *
 * of   the packet that brought them; in the ring
 */
void recover_older(struct ring *ring, const struct stream *stream,
		   const struct timeline *t, const struct ring_packet *of,
		   const struct payload *p);

#endif
