/**
 * base/log.h -- one line a fact, on stderr.
 *
 * A line is: time, level, object path, event, key=value ...:
 *   2026-11-21T02:41:07.123Z info app=1400000000 task=4469 seg=7 closed len_ms=3000
 * The object path names what the line is about, from outside to inside.
 * Never per packet; secrets never.  Thread: any; one write(2) a line.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/attr.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/** error: someone must act.  warn: degraded.  info: lifecycle.  debug. */
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

/** Show lines up to this level (default LOG_INFO). */
void log_set_level(enum log_level level);

/** "error", "warn", "info", "debug" -> level; false if none of them. */
bool log_level_parse(const char *name, enum log_level *level);

/** Tests and demo: send lines to `fn` instead of stderr; NULL: stderr. */
typedef void(log_sink_fn)(enum log_level level, const char *line, void *arg);
void log_set_sink(log_sink_fn *fn, void *arg);

#endif
