/**
 * commands/printer.h -- lines to standard output that may stand still.
 *
 * WHAT  A thread of its own writes; whoever prints never waits.
 * WHY   A pipe whose reader does nothing must not keep a loop from its work.
 * Full  Beyond PRINTER_MAX bytes that wait a line is left out; the log says
 *       how many, once the reader goes on.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_PRINTER_H
#define COMMANDS_PRINTER_H

#include "base/attr.h"
#include "io/io.h"

enum { PRINTER_MAX = 16 << 20 };

struct printer;

/** fd: to write to.  Returns 0 or an errno.  Thread: the loop's, as all. */
MUST_CHECK int printer_new(struct loop *loop, int fd, struct printer **out);
/** Print a line; the '\n' is added. */
void printer_line(struct printer *p, const char *line, size_t len);
/** Write what waits, for 2 s at most.  Turns the loop.  NULL is fine. */
void printer_free(struct printer *p);

#endif
