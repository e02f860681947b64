/** lib/names.c -- the words of libtapeop, and errors as sentences. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/inside.h"

static const char unknown[] = "unknown";

static const struct {
	const char *name;
	int status;
	const char *text;
} errors[] = {
	[TAPEOP_OK] = {"ok", 200, "it is right"},
	[TAPEOP_BAD_ARGUMENT] = {"bad_argument", 500,
				 "the receiver's program has a bug: an "
				 "argument is missing or cannot be"},
	[TAPEOP_NO_MEMORY] = {"no_memory", 503, "out of memory"},
	[TAPEOP_NO_SPACE] = {"no_space", 500, "a buffer is too small"},
	[TAPEOP_NO_KEY] = {"no_key", 500,
			   "the receiver has no key for this dialect"},
	[TAPEOP_ABSENT] = {"absent", 400, "a parameter is not in the query"},
	[TAPEOP_NO_DIALECT] = {"no_dialect", 400,
			       "it is in no dialect that is taken here"},
	[TAPEOP_UNSIGNED] = {"unsigned", 401, "it is not signed"},
	[TAPEOP_BAD_SIGNATURE] = {"bad_signature", 401,
				  "the signature is not right"},
	[TAPEOP_WRONG_TIME] = {"wrong_time", 401,
			       "it was signed too long ago, or for the "
			       "future"},
	[TAPEOP_WRONG_APP] = {"wrong_app", 403, "it is of another app"},
	[TAPEOP_MALFORMED] = {"malformed", 400, "it is malformed"},
	[TAPEOP_TOO_LARGE] = {"too_large", 413, "it is too large"},
};

static const struct {
	enum tapeop_dialect outside;
	enum dialect inside;
} dialects[] = {
	{TAPEOP_GME, DIALECT_GME},
	{TAPEOP_LIVE, DIALECT_LIVE},
	{TAPEOP_TRTC, DIALECT_TRTC},
	{TAPEOP_STANDARD, DIALECT_STANDARD},
};
static_assert(ARRAY_LEN(dialects) == DIALECT_N, "each has a number outside");

/* By hand, so that a change inside cannot move a number outside. */
static const struct {
	enum tapeop_kind outside;
	enum event_kind inside;
} kinds[] = {
	{TAPEOP_STARTED, EVENT_STARTED},
	{TAPEOP_COMPLETED, EVENT_COMPLETED},
	{TAPEOP_UPLOADED, EVENT_UPLOADED},
	{TAPEOP_TASK_STARTED, EVENT_TASK_STARTED},
	{TAPEOP_TASK_STOPPED, EVENT_TASK_STOPPED},
	{TAPEOP_UPLOAD_STARTED, EVENT_UPLOAD_STARTED},
	{TAPEOP_UPLOAD_STOPPED, EVENT_UPLOAD_STOPPED},
	{TAPEOP_FILES_READY, EVENT_FILES_READY},
	{TAPEOP_UPLOAD_FAILING, EVENT_UPLOAD_FAILING},
	{TAPEOP_TASK_FAILED, EVENT_TASK_FAILED},
	{TAPEOP_INPUT_LOST, EVENT_INPUT_LOST},
	{TAPEOP_NO_AUDIO, EVENT_NO_AUDIO},
	{TAPEOP_DISK_LOW, EVENT_DISK_LOW},
	{TAPEOP_TEST, EVENT_TEST},
	{TAPEOP_OTHER, EVENT_KIND_N},
};
static_assert(ARRAY_LEN(kinds) == EVENT_KIND_N + 1,
	      "each has a number outside");

bool lib_dialect(enum tapeop_dialect dialect, enum dialect *d)
{
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		if (dialects[i].outside == dialect) {
			*d = dialects[i].inside;
			return true;
		}
	}
	return false;
}

enum tapeop_dialect lib_dialect_out(enum dialect d)
{
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		if (dialects[i].inside == d)
			return dialects[i].outside;
	}
	return TAPEOP_DIALECT_NONE;
}

enum tapeop_kind lib_kind_out(enum event_kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].inside == kind)
			return kinds[i].outside;
	}
	return TAPEOP_OTHER;
}

enum tapeop_error lib_say(const struct lib_why *why, enum tapeop_error e,
			  const char *fmt, ...)
{
	va_list ap;

	if (!why->text || !why->cap)
		return e;
	va_start(ap, fmt);
	vsnprintf(why->text, why->cap, fmt, ap);
	va_end(ap);
	return e;
}

enum tapeop_error lib_say_usual(const struct lib_why *why, enum tapeop_error e)
{
	return lib_say(why, e, "%s", e ? tapeop_strerror(e) : "");
}

const char *tapeop_version(void)
{
	return TAPEOP_VERSION;
}

static bool is_known(enum tapeop_error error)
{
	return (unsigned)error < ARRAY_LEN(errors);
}

const char *tapeop_error_name(enum tapeop_error error)
{
	return is_known(error) ? errors[error].name : unknown;
}

const char *tapeop_strerror(enum tapeop_error error)
{
	return is_known(error) ? errors[error].text : "unknown error";
}

int tapeop_http_status(enum tapeop_error error)
{
	return is_known(error) ? errors[error].status : 500;
}

const char *tapeop_dialect_name(enum tapeop_dialect dialect)
{
	enum dialect d;

	return lib_dialect(dialect, &d) ? dialect_name(d) : unknown;
}

enum tapeop_dialect tapeop_dialect_parse(const char *name)
{
	enum dialect d;

	if (!name || !dialect_parse(name, &d))
		return TAPEOP_DIALECT_NONE;
	return lib_dialect_out(d);
}

const char *tapeop_kind_name(enum tapeop_kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].outside == kind)
			return event_kind_name(kinds[i].inside);
	}
	return unknown;
}

const char *tapeop_mode_name(enum tapeop_mode mode)
{
	switch (mode) {
	case TAPEOP_MODE_NONE:
		return "";
	case TAPEOP_SINGLE:
		return record_mode_name(MODE_SINGLE);
	case TAPEOP_MIXED:
		return record_mode_name(MODE_MIXED);
	case TAPEOP_BOTH:
		return record_mode_name(MODE_BOTH);
	}
	return unknown;
}
