/**
 * base/crash.h -- let a test kill the process, or fail a system call, at a
 * named place.
 *
 * For tests only: with both variables unset nothing here does anything, at
 * the cost of one relaxed load.
 *   TAPEOP_CRASH_AT=name[:N]            SIGKILL itself the N-th time (from 1)
 *   TAPEOP_FAULT=name=ENOSPC[:N][,...]  that call fails from the N-th time on,
 *                                       with :N-M until the M-th
 * Names are words with dots ("file.rename.before"); a place that is not
 * named in the variables is never disturbed.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

#include "base/attr.h"

/** Die here by SIGKILL if TAPEOP_CRASH_AT says so.  Thread: any. */
void crash_point(const char *name);

/**
 * The errno that TAPEOP_FAULT sets for this call, or 0: make the call.
 * Thread: any.
 */
MUST_CHECK int crash_errno(const char *name);

/** Read the variables again (the start of the process does it once).  For
 *  a test that has set them; other threads go by them from their next call on.
 *  Thread: one at a time. */
void crash_reload(void);

#endif
