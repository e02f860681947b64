/** base/log.c -- one line a fact, on stderr. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_LEN = 1024 };

static _Atomic int shown = LOG_INFO;
static log_sink_fn *sink_fn;
static void *sink_arg;

static const char *const names[] = {"error", "warn", "info", "debug"};

/** Write "time level " into `line`; returns its length. */
static size_t write_head(enum log_level level, char *line, size_t cap)
{
	int64_t ms = clock_unix_ms();
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	size_t len;

	gmtime_r(&s, &tm);
	len = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	len += (size_t)snprintf(line + len, cap - len, ".%03dZ %s ",
				(int)(ms % 1000), names[level]);
	return len;
}

static void write_line(enum log_level level, const char *fmt, va_list ap)
	PRINTF_LIKE(2, 0);

static void write_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_LEN];
	size_t len;
	int n;

	if ((int)level > atomic_load_explicit(&shown, memory_order_relaxed))
		return;
	len = write_head(level, line, sizeof(line));
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	if (n < 0)
		return;
	len += (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* One line, and nothing that a terminal would obey. */
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	}
	line[len] = 0;
	if (sink_fn) {
		sink_fn(level, line, sink_arg);
		return;
	}
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere to complain */
}

#define LOG_AT(level)                       \
	do {                                \
		va_list ap;                 \
		va_start(ap, fmt);          \
		write_line(level, fmt, ap); \
		va_end(ap);                 \
	} while (0)

void log_error(const char *fmt, ...)
{
	LOG_AT(LOG_ERROR);
}

void log_warn(const char *fmt, ...)
{
	LOG_AT(LOG_WARN);
}

void log_info(const char *fmt, ...)
{
	LOG_AT(LOG_INFO);
}

void log_debug(const char *fmt, ...)
{
	LOG_AT(LOG_DEBUG);
}

void log_set_level(enum log_level level)
{
	atomic_store(&shown, (int)level);
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(name, names[i])) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_set_sink(log_sink_fn *fn, void *arg)
{
	sink_fn = fn;
	sink_arg = arg;
}
